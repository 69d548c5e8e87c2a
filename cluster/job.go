package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Job is palisade itself, to be run once in a cluster, outside its mesh.
type Job struct {
	Namespace, ServiceAccount string
	// Image is that of palisade; empty is that of the Deployment palisade in the namespace.
	Image string
	Args  []string
	// Deadline ends it, whatever it does; and it is gone from the cluster an hour after its end, should nobody remove it.
	Deadline time.Duration
}

const (
	jobPrefix = "palisade-verify-"
	// jobStart is how long its pod may take to run: nodes pull images.
	jobStart = 5 * time.Minute
	jobKept  = int32(3600)
	// maxLine bounds a line of its log, in bytes.
	maxLine = 1 << 20
)

// RunJob runs a Job, hands every line that it writes to a function, and removes it, also where the context ends.
func RunJob(ctx context.Context, config *rest.Config, j Job, line func(string) error) (err error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if j.Image == "" {
		if j.Image, err = ownImage(ctx, client, j.Namespace); err != nil {
			return err
		}
	}
	made, err := client.BatchV1().Jobs(j.Namespace).Create(ctx, j.object(), metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("making a Job in namespace %s: %w", j.Namespace, err)
	}
	defer func() { err = errors.Join(err, removeJob(context.WithoutCancel(ctx), client, made)) }()
	pod, err := podOfJob(ctx, client, made)
	if err != nil {
		return err
	}
	return follow(ctx, client, pod, line)
}

// ownImage is the image that palisade's controller runs.
func ownImage(ctx context.Context, client kubernetes.Interface, namespace string) (string, error) {
	d, err := client.AppsV1().Deployments(namespace).Get(ctx, "palisade", metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("which image is palisade's is not known: give it as --image (%w)", err)
	}
	for i := range d.Spec.Template.Spec.Containers {
		if c := &d.Spec.Template.Spec.Containers[i]; c.Name == "palisade" {
			return c.Image, nil
		}
	}
	return "", fmt.Errorf("the Deployment %s/palisade has no container palisade: give the image as --image", namespace)
}

func (j *Job) object() *batchv1.Job {
	seconds, none, kept, yes, no := int64(j.Deadline/time.Second), int32(0), jobKept, true, false
	user := int64(65532)
	labels := map[string]string{
		"app.kubernetes.io/name": "palisade", "app.kubernetes.io/component": "verification",
		// Outside every mesh, as an intruder is.
		"sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none",
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{GenerateName: jobPrefix, Namespace: j.Namespace, Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit: &none, ActiveDeadlineSeconds: &seconds, TTLSecondsAfterFinished: &kept,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"linkerd.io/inject": "disabled"}},
				Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: j.ServiceAccount,
					SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
					Containers: []corev1.Container{{
						Name: "palisade", Image: j.Image, Args: j.Args,
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						},
					}},
				},
			},
		},
	}
}

func removeJob(ctx context.Context, client kubernetes.Interface, j *batchv1.Job) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	background := metav1.DeletePropagationBackground
	err := client.BatchV1().Jobs(j.Namespace).Delete(ctx, j.Name, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &j.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("removing Job %s/%s: %w", j.Namespace, j.Name, err)
	}
	return nil
}

// podOfJob waits until the pod of a Job runs, or has run.
func podOfJob(ctx context.Context, client kubernetes.Interface, j *batchv1.Job) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, jobStart)
	defer cancel()
	why := "the Job has no pod yet"
	for {
		pods, err := client.CoreV1().Pods(j.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=" + j.Name})
		if err != nil {
			return nil, err
		}
		for i := range pods.Items {
			p := &pods.Items[i]
			if p.Status.Phase == corev1.PodRunning || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
				return p, nil
			}
			why = waitsFor(p)
		}
		if why == "the Job has no pod yet" {
			if there, err := client.BatchV1().Jobs(j.Namespace).Get(ctx, j.Name, metav1.GetOptions{}); err == nil && len(there.Status.Conditions) > 0 {
				why = there.Status.Conditions[0].Message
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the pod of Job %s/%s does not run: %s", j.Namespace, j.Name, why)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func waitsFor(p *corev1.Pod) string {
	for i := range p.Status.ContainerStatuses {
		if w := p.Status.ContainerStatuses[i].State.Waiting; w != nil {
			return w.Reason + " " + w.Message
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			return c.Reason + " " + c.Message
		}
	}
	return "it is " + string(p.Status.Phase)
}

// follow reads the log of a pod until it ends.
func follow(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, line func(string) error) error {
	log, err := client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: "palisade", Follow: true}).Stream(ctx)
	if err != nil {
		return fmt.Errorf("reading the log of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	lines := bufio.NewScanner(log)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		if err := line(lines.Text()); err != nil {
			return errors.Join(err, log.Close())
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(fmt.Errorf("reading the log of pod %s/%s: %w", pod.Namespace, pod.Name, err), log.Close())
	}
	return log.Close()
}
