package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// readable adds to an error whose files a data directory holds, where that is the matter.
func readable(data string, err error) error {
	if err == nil {
		return nil
	}
	self := myself()
	if info, e := os.Stat(data); e == nil && errors.Is(err, fs.ErrPermission) && !self.may(info) {
		return fmt.Errorf("%w; %s belongs to %s and this is %s: run the command as the user of the server", err, data, loginName(ownerUID(info)), loginName(self.uid))
	}
	if in := inTheWay(data); in != "" {
		return fmt.Errorf("%w; %s", err, in)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; run the command as the user of the server", err)
	}
	return err
}

// inTheWay names a file of another user in a data directory of this one's, and what to do
// about it; "" if there is none.
func inTheWay(data string) string {
	self := myself()
	if info, err := os.Stat(data); err != nil || !self.may(info) {
		return ""
	}
	name, uid := self.barred(data)
	if name == "" {
		return ""
	}
	return fmt.Sprintf("%s belongs to %s and this is %s: as root, chown -R %[3]s: %[4]s", name, loginName(uid), loginName(self.uid), data)
}

func myself() login {
	groups, _ := os.Getgroups()
	return login{uid: os.Geteuid(), groups: append(groups, os.Getegid())}
}

// login is who runs the program.
type login struct {
	uid    int
	groups []int
}

// may says whether the mode lets this user read and change a file, or use a folder.
func (l login) may(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || l.uid == 0 || l.uid == int(st.Uid) { // an owner can change the mode
		return true
	}
	need, mode := fs.FileMode(6), info.Mode()
	if info.IsDir() {
		need = 7
	}
	if slices.Contains(l.groups, int(st.Gid)) {
		mode >>= 3
	}
	return mode&need == need
}

// barred is a file or folder in a data directory that belongs to another user and that
// this one may not use, "" if there is none.
func (l login) barred(data string) (name string, uid int) {
	_ = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == data {
			return err
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() && !info.IsDir() || info.Name() == "lost+found" || l.may(info) {
			if d.Name() == "lost+found" {
				return fs.SkipDir
			}
			return nil // what is gone again bars nobody
		}
		name, uid = path, ownerUID(info)
		return fs.SkipAll
	})
	return name, uid
}

func ownerUID(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// loginName is the name of a user, or the number of one without.
func loginName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}
