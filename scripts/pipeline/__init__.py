"""What the scripts for molecules share: settings, run directories, training, estimates, report."""
