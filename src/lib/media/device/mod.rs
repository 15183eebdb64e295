//! Sources and sinks: sound cards, files, tones and nothing.
