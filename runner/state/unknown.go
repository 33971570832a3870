package state

import (
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"strings"
)

// unknown are the fields of a state that this program does not know, because a newer one wrote them. They are kept: whoever writes a state
// must not lose what another one noted.
type unknown struct {
	fields map[string]json.RawMessage
	hosts  map[netip.Addr]map[string]json.RawMessage
}

// readUnknown finds the fields in an encoded state.
func readUnknown(data []byte) (unknown, error) {
	var u unknown
	var err error
	if u.fields, err = leftOver[State](data); err != nil {
		return u, err
	}
	var raw struct{ Hosts []json.RawMessage }
	if err := json.Unmarshal(data, &raw); err != nil {
		return u, err
	}
	for _, data := range raw.Hosts {
		var h Host
		if err := json.Unmarshal(data, &h); err != nil {
			return u, err
		}
		fields, err := leftOver[Host](data)
		if err != nil {
			return u, err
		}
		if len(fields) > 0 {
			if u.hosts == nil {
				u.hosts = map[netip.Addr]map[string]json.RawMessage{}
			}
			u.hosts[h.Address] = fields
		}
	}
	return u, nil
}

// leftOver are the fields of a JSON object that T does not have; nil for none.
func leftOver[T any](data []byte) (map[string]json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	fields := reflect.TypeFor[T]()
	for i := range fields.NumField() {
		known, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		// Decoding does not tell upper and lower case apart.
		maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return known != "" && strings.EqualFold(name, known) })
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}

// merge takes over what only another state has.
func (u *unknown) merge(other unknown) {
	u.fields = joined(u.fields, other.fields)
	for address, fields := range other.hosts {
		if u.hosts == nil {
			u.hosts = map[netip.Addr]map[string]json.RawMessage{}
		}
		u.hosts[address] = joined(u.hosts[address], fields)
	}
}

// joined is one set of fields with what only the other one has.
func joined(one, other map[string]json.RawMessage) map[string]json.RawMessage {
	if len(other) == 0 {
		return one
	}
	all := maps.Clone(other)
	maps.Copy(all, one)
	return all
}

// encode adds the fields to an encoded state.
func (u unknown) encode(s *State, data []byte) ([]byte, error) {
	if len(u.fields) == 0 && len(u.hosts) == 0 {
		return data, nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	var hosts []json.RawMessage
	for _, h := range s.Hosts {
		encoded, err := withFields(h, u.hosts[h.Address])
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, encoded)
	}
	if len(hosts) > 0 {
		encoded, err := json.Marshal(hosts)
		if err != nil {
			return nil, err
		}
		all["hosts"] = encoded
	}
	return json.MarshalIndent(joined(all, u.fields), "", "  ")
}

func withFields(value any, fields map[string]json.RawMessage) (json.RawMessage, error) {
	data, err := json.Marshal(value)
	if err != nil || len(fields) == 0 {
		return data, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	return json.Marshal(joined(all, fields))
}
