"""Where the pass over the images runs: in processes of this machine (`local`)."""
