"""The crawler: fetches the pages of a source politely, and lands each as it comes."""
