"""Response types, compiled once into plans for building their partials."""
