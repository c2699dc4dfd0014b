"""Plans with roadside data against recordings: errors, collisions, what the radio carries, what is lost or spoilt on the way."""
