//! Signals from seven senders in a process of two threads, neither of which has them blocked: who handles which?
