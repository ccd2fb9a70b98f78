package producer

import (
	"math"

	"github.com/millrace/millrace/mkv"
)

// decide is called when the first lead block of a cluster has come, or when it is clear
// that none will come in time: key says whether the cluster begins with a key frame.
func (r *Reclusterer) decide(key bool) {
	if r.held != nil {
		d := r.next.timecode - r.held.timecode
		if key && d >= r.spans.shortest && d <= r.spans.longest {
			r.passHeld()
		} else {
			r.dissolveHeld()
		}
	}
	if key && (!r.began || r.next.timecode-r.start >= r.spans.shortest) {
		r.stay()
		return
	}
	r.changed++
	r.stash = append(r.stash, r.between.tags()...)
	r.between = nil
	if !r.open {
		r.cutAt(r.next.timecode)
	}
	r.state = cutting
	r.dissolve(r.next)
	r.next.reset()
}

// stay lets the cluster that comes in stay as it is.
func (r *Reclusterer) stay() {
	r.out = r.between.append(r.stash.append(r.out))
	r.stash, r.between = nil, nil
	if r.next.sized {
		r.state, r.held, r.next = holding, r.next, r.spare
		r.open = false
		return
	}
	r.state, r.skip = passing, false
	r.output = output{began: true, open: true, start: r.next.timecode}
	r.watch(r.next)
	r.out = append(r.out, r.next.raw...)
	r.next.reset()
}

// passHeld gives out the held cluster as it is.
func (r *Reclusterer) passHeld() {
	c := r.release()
	r.output = output{began: true, start: c.timecode}
	r.watch(c)
	if len(r.out) == 0 {
		r.out, c.raw = c.raw, r.out // the largest thing there is: not copied
		return
	}
	r.out = append(r.out, c.raw...)
}

// dissolveHeld gives out the held cluster in clusters of our own. The first one has its
// timecode.
func (r *Reclusterer) dissolveHeld() {
	c := r.release()
	r.changed++
	r.cutAt(c.timecode)
	r.dissolve(c)
}

// release takes the held cluster, whose memory may be used again after the next step.
func (r *Reclusterer) release() *cluster {
	c := r.held
	r.held, r.spare = nil, c
	return c
}

// watch learns the rhythm of a cluster that is not looked into otherwise.
func (r *Reclusterer) watch(c *cluster) {
	for i := range c.units {
		if u := &c.units[i]; r.leads(u) {
			r.observe(u, r.spans.longest)
		}
	}
}

// dissolve gives out the blocks of a cluster in clusters of our own.
func (r *Reclusterer) dissolve(c *cluster) {
	for i := range c.units {
		u := &c.units[i]
		if r.leads(u) {
			r.observe(u, r.spans.longest)
		}
		r.cut(u, c.bytes(u))
	}
}

// emit gives out a unit of a cluster that comes out while it comes in.
func (r *Reclusterer) emit(u *unit, raw []byte) {
	if r.leads(u) {
		r.observe(u, r.spans.longest)
	}
	if r.state == passing && u.block && r.tooLong(u) {
		r.state = cutting
		r.changed++
	}
	if r.state == cutting {
		r.cut(u, raw)
		return
	}
	r.skip = false
	r.out = append(r.out, raw...)
}

// tooLong says whether a cluster that passes would become too long with a block, or
// before the key frame after it.
func (r *Reclusterer) tooLong(u *unit) bool {
	d := u.time - r.start
	if r.leads(u) && u.key && d > 0 && d+r.rhythm.longest > r.spans.longest {
		return true
	}
	return d+r.gap > r.spans.longest
}

// cut gives out a unit in a cluster of our own, beginning a new one where that is due.
func (r *Reclusterer) cut(u *unit, raw []byte) {
	if !u.block {
		if r.skip = !r.open || stale(u.id); !r.skip {
			r.out = append(r.out, raw...)
		}
		return
	}
	if r.due(u) {
		r.cutAt(u.time)
	}
	r.skip = false
	r.out = appendBlock(r.out, raw, u, r.start)
}

// stale says whether an element of a cluster means nothing once the cluster is cut.
func stale(id uint32) bool {
	switch id {
	case mkv.IDCluster, mkv.IDTimecode, mkv.IDCRC32, mkv.IDVoid, mkv.IDPrevSize, mkv.IDPosition:
		return true
	}
	return false
}

// due says whether a new cluster must begin with a block.
func (r *Reclusterer) due(u *unit) bool {
	d := u.time - r.start
	switch {
	case !r.open, d < math.MinInt16, d > math.MaxInt16:
		return true
	case r.leads(u) && (u.key || !r.video) && d >= r.spans.cut:
		return true
	}
	if d > 0 && d+r.gap > r.spans.longest {
		if r.video {
			r.keyless++
		}
		return true
	}
	return false
}

// cutAt begins a cluster of our own.
func (r *Reclusterer) cutAt(timecode int64) {
	r.out = r.stash.append(r.out)
	r.stash = nil
	timecode = max(timecode, 0)
	r.out = mkv.AppendClusterUnknown(r.out, uint64(timecode))
	r.output = output{began: true, open: true, start: timecode}
}

// finish gives out what waits when the input ends; whole says that it ends where it may.
func (r *Reclusterer) finish(whole bool) {
	switch r.state {
	case undecided:
		r.next.dropOpen()
		r.decide(false)
	case holding:
		if r.held.open {
			whole = false
			r.held.dropOpen()
		}
	}
	if r.held != nil {
		if d := r.held.end() - r.held.timecode; whole && d+r.gap <= r.spans.longest {
			r.passHeld()
		} else {
			r.dissolveHeld()
		}
	}
	r.state = outside
	r.out = r.stash.append(r.out)
	if r.changed == 0 && whole {
		r.out = r.between.append(r.out)
	} else {
		r.out = r.between.tags().append(r.out)
	}
	r.stash, r.between = nil, nil
}

// elements are elements of level 1, each with all its bytes.
type elements []element

type element struct {
	isTags bool
	raw    []byte
}

// add takes an item, or a further piece of the one before it.
func (e *elements) add(it *mkv.Item) {
	if it.Cont && len(*e) > 0 {
		last := &(*e)[len(*e)-1]
		last.raw = append(last.raw, it.Raw...)
		return
	}
	*e = append(*e, element{it.Kind == mkv.TagsElement, append([]byte(nil), it.Raw...)})
}

// cost is what the elements weigh in memory, in bytes.
func (e elements) cost() (n int) {
	for _, one := range e {
		n += len(one.raw) + unitCost
	}
	return n
}

// tags are the Tags elements among them.
func (e elements) tags() (tags elements) {
	for _, one := range e {
		if one.isTags {
			tags = append(tags, one)
		}
	}
	return tags
}

func (e elements) append(b []byte) []byte {
	for _, one := range e {
		b = append(b, one.raw...)
	}
	return b
}
