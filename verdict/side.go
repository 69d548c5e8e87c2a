package verdict

import (
	"encoding/binary"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// kind parts peers by what can be said of them.
type kind uint8

const (
	// pods are in the cluster's network.
	pods kind = iota
	// hosts are pods on their node's network.
	hosts
	// addresses are outside of the cluster's workloads.
	addresses
	kinds
)

// filterID, termID and groupID number what one side has.
type (
	filterID uint32
	termID   uint32
	groupID  uint32
)

// noFilter lets everything through.
const noFilter filterID = 0

// group is a set of workloads of one namespace that no rule of one side can tell apart, or a part of the addresses outside.
type group struct {
	kind kind
	// first is one of the workloads; nil for addresses.
	first *model.Workload
	// egress and ingress are the network's filters, mesh is the number of the list of the proxy's.
	egress, ingress filterID
	mesh            uint32
	// sender and receiver number the keys of a mesh's ways.
	sender, receiver uint32
	// names numbers what the containers call their ports, where some rule asks for it.
	names uint32
	// memberships are the terms that match the group.
	memberships []membership
	// relayed tells that a waypoint may stand in front.
	relayed bool
}

// membership is one term that matches, and how surely.
type membership struct {
	term  termID
	match certainty
}

// side is one state of the cluster, prepared for rows.
type side struct {
	in     Input
	tables *tables
	// filters are numbered from 1.
	filters   []*filter
	filterIDs map[*model.Filter]filterID
	// lists are the mesh's filters of workloads, by the numbers of the filters.
	lists   [][]filterID
	listIDs map[string]uint32
	terms   []*term
	termIDs map[string]termID
	// groups of workloads come first, in the order of namespaces; then one for each part of the addresses.
	groups []group
	// ranges are the groups of each namespace, by its number.
	ranges     []groupRange
	namespaces *namespaces
	// groupOf is the group of each workload.
	groupOf []groupID
	// senders and receivers are the texts that groups number.
	senders, receivers numbered[string, uint32]
	// names are the ports that containers name.
	names     []map[model.NamedPort]int32
	partition *partition
	// principals are the namespaces of each identity; nil until asked for.
	principals map[string][]string
	// labelKeys are those that some term reads; byAddress and byAccount tell whether any reads addresses or identities, byName whether any filter names ports.
	labelKeys                    []string
	byAddress, byAccount, byName bool
}

type groupRange struct{ first, last groupID }

// newSide asks the readers about every workload and numbers their filters.
func newSide(in Input, t *tables) *side {
	s := &side{
		in: in, tables: t,
		filters: []*filter{nil}, filterIDs: map[*model.Filter]filterID{nil: noFilter},
		lists: [][]filterID{nil}, listIDs: map[string]uint32{"": 0},
		termIDs: map[string]termID{},
		senders: newNumbered[string, uint32](""), receivers: newNumbered[string, uint32](""),
		names:      []map[model.NamedPort]int32{nil},
		namespaces: newNamespaces(in.Namespaces),
	}
	return s
}

// told is what the readers say of one workload.
type told struct {
	egress, ingress  *model.Filter
	filters, between []*model.Filter
	sender, receiver string
}

// ask asks the readers about every workload. It touches nothing that other sides use.
func (s *side) ask() []told {
	answers := make([]told, len(s.in.Workloads))
	for i := range s.in.Workloads {
		w, a := &s.in.Workloads[i], &answers[i]
		if s.in.Network != nil && !w.Spec.HostNetwork {
			a.egress, a.ingress = s.in.Network.Egress(w), s.in.Network.Ingress(w)
		}
		if s.in.Mesh != nil {
			a.filters, a.between = s.in.Mesh.Filters(w), s.in.Mesh.Between(w)
			a.sender, a.receiver = s.in.Mesh.Sender(w), s.in.Mesh.Receiver(w)
		}
	}
	return answers
}

// asked is what the readers say of one workload, in numbers.
type asked struct {
	egress, ingress  filterID
	mesh             uint32
	sender, receiver uint32
	relayed          bool
}

// number numbers what the readers say.
func (s *side) number(answers []told) []asked {
	numbers := make([]asked, len(answers))
	for i := range answers {
		t, a := &answers[i], &numbers[i]
		a.egress, a.ingress, a.mesh = s.filter(t.egress), s.filter(t.ingress), s.list(t.filters)
		for _, f := range t.between {
			s.filter(f)
			a.relayed = true
		}
		a.sender, a.receiver = s.senders.id(t.sender), s.receivers.id(t.receiver)
	}
	return numbers
}

func (s *side) filter(f *model.Filter) filterID {
	id, known := s.filterIDs[f]
	if !known {
		id = filterID(len(s.filters))
		s.filterIDs[f] = id
		s.filters = append(s.filters, s.newFilter(f))
	}
	return id
}

func (s *side) list(filters []*model.Filter) uint32 {
	if len(filters) == 0 {
		return 0
	}
	ids := make([]filterID, len(filters))
	key := make([]byte, 0, 8)
	for i, f := range filters {
		ids[i] = s.filter(f)
		key = binary.LittleEndian.AppendUint32(key, uint32(ids[i]))
	}
	id, known := s.listIDs[string(key)]
	if !known {
		id = uint32(len(s.lists))
		s.lists = append(s.lists, ids)
		s.listIDs[string(key)] = id
	}
	return id
}

// gather puts the workloads that no rule tells apart into groups.
func (s *side) gather(answers []asked, p *partition) {
	s.partition = p
	s.groupOf = make([]groupID, len(s.in.Workloads))
	nameIDs := map[string]uint32{"": 0}
	var known map[string]groupID
	key := make([]byte, 0, 256)
	for i := range s.in.Workloads {
		w, a := &s.in.Workloads[i], &answers[i]
		if i == 0 || w.ID.Namespace != s.in.Workloads[i-1].ID.Namespace {
			known = map[string]groupID{}
		}
		names := s.portNames(w, nameIDs)
		key = s.groupKey(key[:0], w, a, names)
		id, there := known[string(key)]
		if !there {
			id = groupID(len(s.groups))
			known[string(key)] = id
			s.groups = append(s.groups, group{
				kind: kindOf(w), first: w, egress: a.egress, ingress: a.ingress, mesh: a.mesh,
				sender: a.sender, receiver: a.receiver, names: names, relayed: a.relayed,
			})
			s.place(w.ID.Namespace, id)
		}
		s.groupOf[i] = id
	}
	for range p.parts {
		s.groups = append(s.groups, group{kind: addresses})
	}
}

// place notes the group as one of its namespace; groups of a namespace have numbers in a row.
func (s *side) place(namespace string, id groupID) {
	n := s.namespaces.number(namespace)
	for len(s.ranges) <= n {
		s.ranges = append(s.ranges, groupRange{})
	}
	if s.ranges[n].last == 0 {
		s.ranges[n].first = id
	}
	s.ranges[n].last = id + 1
}

func kindOf(w *model.Workload) kind {
	switch {
	case w == nil:
		return addresses
	case w.Spec.HostNetwork:
		return hosts
	default:
		return pods
	}
}

// groupKey is equal for workloads of a namespace that no rule tells apart.
func (s *side) groupKey(key []byte, w *model.Workload, a *asked, names uint32) []byte {
	for _, n := range [...]uint32{uint32(a.egress), uint32(a.ingress), a.mesh, a.sender, a.receiver, names, uint32(kindOf(w))} {
		key = binary.LittleEndian.AppendUint32(key, n)
	}
	for _, label := range s.labelKeys {
		value, there := w.Labels[label]
		if there {
			key = append(append(key, 1), value...)
		}
		key = append(key, 0)
	}
	if s.byAccount {
		key = append(append(key, w.ServiceAccount...), 0)
		key = append(append(append(key, w.Facts.Identity...), 0), w.Facts.Mode...)
	}
	if s.byAddress {
		for _, a := range w.Addresses {
			key = binary.LittleEndian.AppendUint32(key, uint32(s.partition.find(a)))
		}
	}
	return key
}

// portNames numbers what the containers call their ports, where some filter asks for names.
func (s *side) portNames(w *model.Workload, ids map[string]uint32) uint32 {
	if !s.byName {
		return 0
	}
	var key []byte
	names := map[model.NamedPort]int32{}
	for _, p := range w.ContainerPorts() {
		as := model.NamedPort{Name: p.Name, Port: model.Port{Protocol: p.Protocol}}
		if p.Name == "" || names[as] != 0 {
			continue
		}
		names[as] = w.PortNamed(p.Name, p.Protocol)
		key = append(append(key, p.Name...), '/')
		key = append(key, p.Protocol...)
		key = binary.LittleEndian.AppendUint32(key, uint32(names[as]))
	}
	id, known := ids[string(key)]
	if !known {
		id = uint32(len(s.names))
		ids[string(key)] = id
		s.names = append(s.names, names)
	}
	return id
}

// named is the number of a named port in a group's containers, or 0.
func (s *side) named(names uint32, name string, protocol corev1.Protocol) int32 {
	return s.names[names][model.NamedPort{Name: name, Port: model.Port{Protocol: protocol}}]
}

// peerOf is a group as a peer without identity.
func (s *side) peerOf(id groupID) peer {
	g := &s.groups[id]
	if g.first != nil {
		return newPeer(g.first, s.in.Cluster)
	}
	part := s.partition.parts[int(id)-(len(s.groups)-len(s.partition.parts))]
	return outside(part.From())
}

// firstAddress is the group of the first part of the addresses.
func (s *side) firstAddress() groupID { return groupID(len(s.groups) - len(s.partition.parts)) }

// namespaces finds namespaces by their labels.
type namespaces struct {
	list    []model.Namespace
	numbers map[string]int
	// postings are the namespaces that bear a label, by "key=value".
	postings map[string][]int
	// chosen remembers what selectors choose.
	chosen map[string][]int
}

func newNamespaces(list []model.Namespace) *namespaces {
	n := &namespaces{list: list, numbers: make(map[string]int, len(list)), postings: map[string][]int{}, chosen: map[string][]int{}}
	for i := range list {
		n.numbers[list[i].Name] = i
		for key, value := range list[i].Labels {
			posting := key + "=" + value
			n.postings[posting] = append(n.postings[posting], i)
		}
	}
	return n
}

// number is that of a namespace; one that is not listed gets a number of its own.
func (n *namespaces) number(name string) int {
	i, known := n.numbers[name]
	if !known {
		i = len(n.list)
		n.list = append(slices.Clip(n.list), model.Namespace{Name: name})
		n.numbers[name] = i
	}
	return i
}
