"""Other forms of a version than the SavedModel, one file a format."""
