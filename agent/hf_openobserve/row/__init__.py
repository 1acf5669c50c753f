"""From a finished span, and what is known of its call, to the columns OpenObserve shows. Pure."""
