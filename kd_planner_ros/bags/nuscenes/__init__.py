"""nuScenes as published: its JSON tables read directly, and turned into recordings."""
