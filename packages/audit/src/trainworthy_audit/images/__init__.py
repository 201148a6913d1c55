"""One image: decoding, headers, hashes, previews."""
