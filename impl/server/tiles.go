package server

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pinvault/impl/contract"
)

// mountTiles serves the log of the audit trail's checkpoints to outsiders, read-only and as C2SP tlog-tiles has it: a tile never
// changes, the checkpoint does.
func mountTiles(r gin.IRouter, open func(name string) (*os.File, error), fail func(*gin.Context, error)) {
	r.GET("/audit/tiles/*name", func(c *gin.Context) {
		name := strings.TrimPrefix(c.Param("name"), "/")
		f, err := open(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = contract.NoRoute
		}
		if err != nil {
			fail(c, err)
			return
		}
		defer func() { _ = f.Close() }() // read only
		kind, kept := "application/octet-stream", "public, max-age=31536000, immutable"
		if name == "checkpoint" {
			kind, kept = "text/plain; charset=utf-8", "no-cache"
		}
		c.Header("Content-Type", kind)
		c.Header("Cache-Control", kept)
		c.Header("Access-Control-Allow-Origin", "*") // it is everybody's, and asks for nobody
		http.ServeContent(c.Writer, c.Request, "", time.Time{}, f)
	})
}
