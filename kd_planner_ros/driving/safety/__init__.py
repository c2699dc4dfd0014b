"""InterFuser's safety controller: what the network saw, where it will be, how fast the car may go. numpy and OpenCV."""
