"""What a training is about: which network, loss and data, and the series that trainings left."""
