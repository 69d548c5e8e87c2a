package issuers

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const linkerdAudience = "identity.l5d.io"

// accounts makes namespaces and service accounts, "namespace/name": there is no controller here that does.
func accounts(t *testing.T, names ...[2]string) {
	t.Helper()
	for _, name := range names {
		_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name[0]}}, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			require.NoError(t, err)
		}
		_, err = client.CoreV1().ServiceAccounts(name[0]).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name[1]}}, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			require.NoError(t, err)
		}
	}
}

// requested are tokens as TokenRequest gives them.
type requested struct {
	// instead, where it is set, is the audience that is asked for in place of the right one.
	instead string
}

// Token implements issue.Tokens.
func (r requested) Token(ctx context.Context, namespace, account, audience string) (string, error) {
	if r.instead != "" {
		audience = r.instead
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
	answer, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return answer.Status.Token, nil
}

// put writes a Secret.
func put(t *testing.T, namespace, name string, data map[string][]byte) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: data}
	_, err := client.CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = client.CoreV1().Secrets(namespace).Update(t.Context(), secret, metav1.UpdateOptions{})
	}
	require.NoError(t, err)
}

// mount is a folder with a Secret's data, as a kubelet makes it: the files are links
// into "..data", which is a link to a folder of one generation and is replaced as a whole.
type mount struct {
	folder     string
	generation int
}

// refresh brings the folder to what the Secret holds, as a kubelet does about once a minute.
func (m *mount) refresh(t *testing.T, namespace, name string) {
	t.Helper()
	data := secretData(t, namespace, name)
	m.generation++
	generation := fmt.Sprintf("..%d", m.generation)
	require.NoError(t, os.Mkdir(filepath.Join(m.folder, generation), 0o700))
	for file, text := range data {
		require.NoError(t, os.WriteFile(filepath.Join(m.folder, generation, file), text, 0o600))
	}
	temporary := filepath.Join(m.folder, "..data_tmp")
	require.NoError(t, os.Symlink(generation, temporary))
	require.NoError(t, os.Rename(temporary, filepath.Join(m.folder, "..data")))
	for _, file := range slices.Sorted(maps.Keys(data)) {
		if err := os.Symlink(filepath.Join("..data", file), filepath.Join(m.folder, file)); !os.IsExist(err) {
			require.NoError(t, err)
		}
	}
}

// overwrite brings the files to what the Secret holds, and leaves "..data" where it is: so do agents that write
// files in place, and so a watcher that waits for a new "..data" misses it.
func (m *mount) overwrite(t *testing.T, namespace, name string) {
	t.Helper()
	for file, text := range secretData(t, namespace, name) {
		require.NoError(t, os.WriteFile(filepath.Join(m.folder, file), text, 0o600))
	}
}

func secretData(t *testing.T, namespace, name string) map[string][]byte {
	t.Helper()
	secret, err := client.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	return secret.Data
}
