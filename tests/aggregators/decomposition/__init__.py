"""Problems divided into parts."""
