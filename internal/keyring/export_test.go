package keyring

// Unwrapped returns how many unwrapped keys are in memory.
func (r *Ring) Unwrapped() int {
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	return len(r.cache.keys)
}
