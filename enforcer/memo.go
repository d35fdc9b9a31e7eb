package enforcer

import "sync"

// A memo is a bounded map. Over its bound it forgets arbitrary entries: what
// it holds can be computed again.
type memo[K comparable, V any] struct {
	mu    sync.RWMutex
	limit int
	m     map[K]V
}

func newMemo[K comparable, V any](limit int) *memo[K, V] {
	return &memo[K, V]{limit: limit, m: map[K]V{}}
}

func (m *memo[K, V]) get(key K) (V, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	v, ok := m.m[key]
	return v, ok
}

func (m *memo[K, V]) put(key K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.store(key, v)
}

// getOrPut returns the present value, or stores and returns v.
func (m *memo[K, V]) getOrPut(key K, v V) V {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.m[key]; ok {
		return old
	}
	m.store(key, v)
	return v
}

func (m *memo[K, V]) store(key K, v V) {
	if _, ok := m.m[key]; !ok && len(m.m) >= m.limit {
		for old := range m.m {
			delete(m.m, old)
			break
		}
	}
	m.m[key] = v
}
