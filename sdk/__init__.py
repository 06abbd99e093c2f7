"""What users call; standard library only inside a training process."""
