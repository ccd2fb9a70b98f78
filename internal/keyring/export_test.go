package keyring

// Unwrapped returns how many unwrapped keys are in memory.
func (r *Ring) Unwrapped() int {
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	return len(r.cache.keys)
}

// Waiting returns how many new keys wait for the file.
func (r *Ring) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}
