package verdict

import "slices"

// run is a range of classes, last not included.
type run struct{ first, last uint32 }

// classSet is a set of classes: runs that are sorted and do not touch.
type classSet []run

// newClassSet makes a set of classes that are sorted, and may repeat.
func newClassSet(sorted []uint32) classSet {
	var set classSet
	for _, c := range sorted {
		switch n := len(set); {
		case n > 0 && c < set[n-1].last:
		case n > 0 && c == set[n-1].last:
			set[n-1].last++
		default:
			set = append(set, run{c, c + 1})
		}
	}
	return set
}

func (s classSet) contains(class uint32) bool {
	i, _ := slices.BinarySearchFunc(s, class, func(r run, c uint32) int {
		if r.last <= c {
			return -1
		}
		return 1
	})
	return i < len(s) && s[i].first <= class
}

// segment is the value of all classes up to end, which is not included.
type segment[V comparable] struct {
	end   uint32
	value V
}

// vector gives every class a value, as segments of classes that have the same.
type vector[V comparable] []segment[V]

// constant is the same value for n classes.
func constant[V comparable](n uint32, value V) vector[V] {
	if n == 0 {
		return nil
	}
	return vector[V]{{n, value}}
}

// add appends a segment, joined with the last one where that has the same value.
func (v vector[V]) add(end uint32, value V) vector[V] {
	switch n := len(v); {
	case n > 0 && v[n-1].end >= end:
	case n > 0 && v[n-1].value == value:
		v[n-1].end = end
	default:
		v = append(v, segment[V]{end, value})
	}
	return v
}

// at is the value of one class.
func (v vector[V]) at(class uint32) V {
	i, _ := slices.BinarySearchFunc(v, class, func(s segment[V], c uint32) int {
		if s.end <= c {
			return -1
		}
		return 1
	})
	return v[i].value
}

// change is the vector with the values in a set replaced. It does not touch the one it is called on.
func (v vector[V]) change(set classSet, to func(V) V) vector[V] {
	if len(set) == 0 {
		return v
	}
	out := make(vector[V], 0, len(v)+2*len(set))
	at := uint32(0)
	k := 0
	for _, s := range v {
		for at < s.end {
			for k < len(set) && set[k].last <= at {
				k++
			}
			end, value := s.end, s.value
			switch {
			case k == len(set):
			case set[k].first > at:
				end = min(end, set[k].first)
			default:
				end, value = min(end, set[k].last), to(value)
			}
			out = out.add(end, value)
			at = end
		}
	}
	return out
}

// merge combines two vectors of the same length, value by value.
func merge[A, B, C comparable](a vector[A], b vector[B], with func(A, B) C) vector[C] {
	out := make(vector[C], 0, max(len(a), len(b)))
	for i, j := 0, 0; i < len(a) && j < len(b); {
		end := min(a[i].end, b[j].end)
		out = out.add(end, with(a[i].value, b[j].value))
		if a[i].end == end {
			i++
		}
		if b[j].end == end {
			j++
		}
	}
	return out
}

// mergeWhere is merge, with the zero value where a does not matter.
func mergeWhere[A, B, C comparable](a vector[A], b vector[B], matters func(A) bool, with func(A, B) C) vector[C] {
	out := make(vector[C], 0, len(a))
	j := 0
	for i := range a {
		if !matters(a[i].value) {
			var zero C
			out = out.add(a[i].end, zero)
			continue
		}
		first := uint32(0)
		if i > 0 {
			first = a[i-1].end
		}
		if j >= len(b) || b[j].end <= first || j > 0 && b[j-1].end > first {
			j, _ = slices.BinarySearchFunc(b, first, func(s segment[B], c uint32) int {
				if s.end <= c {
					return -1
				}
				return 1
			})
		}
		for ; j < len(b); j++ {
			out = out.add(min(a[i].end, b[j].end), with(a[i].value, b[j].value))
			if b[j].end >= a[i].end {
				break
			}
		}
	}
	return out
}
