package model

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
)

func TestAContainerNamesTheServicesThatItCalls(t *testing.T) {
	cart := Service{Namespace: "shop", Name: "cart"}
	env := func(name, value string) corev1.Container {
		return corev1.Container{Env: []corev1.EnvVar{{Name: name, Value: value}}}
	}
	tests := map[string]struct {
		container corev1.Container
		from      string
		want      bool
	}{
		"with a port":                  {env("CART", "cart:7070"), "shop", true},
		"a URL":                        {env("CART", "http://cart/items"), "shop", true},
		"a URL with a user":            {env("DB", "redis://u:p@cart"), "shop", true},
		"in full":                      {env("CART", "cart.shop.svc.cluster.local"), "web", true},
		"with its namespace":           {env("CART", "cart.shop:7070"), "web", true},
		"a word that is a host":        {env("CART_HOST", "cart"), "shop", true},
		"a word that may be anything":  {env("NAME", "cart"), "shop", false},
		"of another namespace":         {env("CART", "cart:7070"), "web", false},
		"a longer name":                {env("CART", "cart-db:7070"), "shop", false},
		"the end of a name":            {env("CART", "my-cart:7070"), "shop", false},
		"another namespace of a name":  {env("CART", "cart.shop2.svc"), "shop", false},
		"after one that is no host":    {env("CART", "cart-db,cart:80"), "shop", true},
		"netcat":                       {corev1.Container{Command: []string{"sh", "-c", "until nc -z cart 7070; do sleep 1; done"}}, "shop", true},
		"an argument":                  {corev1.Container{Args: []string{"--cart=cart.shop:7070"}}, "web", true},
		"prose":                        {corev1.Container{Args: []string{"fill the cart now"}}, "shop", false},
		"an image's name says nothing": {corev1.Container{Image: "cart:7"}, "shop", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, cart.CalledBy(&test.container, test.from))
			assert.Equal(t, test.want, len(NewCallIndex([]Service{cart}).CalledBy(&test.container, test.from)) == 1, "by the index")
		})
	}
}
