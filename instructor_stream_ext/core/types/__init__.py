"""Response types, compiled once into what their partials are built by."""
