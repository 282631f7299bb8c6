"""What free-form flows are timed against."""
