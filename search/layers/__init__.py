"""What is known of single layers: how they are connected, what they take, what a choice does to them."""
