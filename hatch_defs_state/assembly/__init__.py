"""What every build back end's adapter does: get the state, and lay it out for an artifact."""
