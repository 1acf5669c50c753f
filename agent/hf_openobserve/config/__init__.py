"""What the user has set: the environment and one ``.env``, read once into values that know their source."""
