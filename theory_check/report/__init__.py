"""Tables, sentences and figures of what was found, and the listing of what there is."""
