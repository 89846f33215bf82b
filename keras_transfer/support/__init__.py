"""What every room needs: errors, paths, progress, and silence of foreign logs."""
