"""Three candidates over three seconds, a memory, and a look through a roadside camera."""
