"""From a source of labelled images to tf.data pipelines: sources -> Examples -> inspection -> splits -> pixels."""
