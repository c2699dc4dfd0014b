"""rosbag2 recordings read and written without ROS, and the expert that drives to fill them."""
