package istio

import "strconv"

// key says in bytes what something depends on: equal keys mean equal answers.
type key []byte

// of adds texts, each with an end.
func (k key) of(texts ...string) key {
	for _, t := range texts {
		k = append(append(k, t...), 0)
	}
	return k
}

func (k key) number(n int) key { return append(strconv.AppendInt(k, int64(n), 10), 0) }

func (k key) ports(ports []int32) key {
	for _, p := range ports {
		k = append(strconv.AppendInt(k, int64(p), 10), ',')
	}
	return append(k, 0)
}

func (k key) flags(flags ...bool) key {
	for _, f := range flags {
		k = strconv.AppendBool(k, f)
	}
	return append(k, 0)
}
