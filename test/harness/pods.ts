import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Mount } from './container.ts';
import type { Kube } from './kube.ts';

/** A Pod, as far as a container of it is made from it. */
export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec: {
    readonly nodeName?: string;
    readonly serviceAccountName: string;
    readonly terminationGracePeriodSeconds?: number;
    readonly securityContext?: { readonly runAsUser?: number; readonly runAsGroup?: number; readonly fsGroup?: number };
    readonly initContainers?: readonly PodContainer[];
    readonly containers: readonly PodContainer[];
    readonly volumes?: readonly Volume[];
  };
}

/** A container of a Pod. */
export interface PodContainer {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly env?: readonly Variable[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly readinessProbe?: { readonly httpGet?: { readonly path: string; readonly port: string } };
}

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly secretKeyRef?: { readonly name: string; readonly key: string };
    readonly fieldRef?: { readonly fieldPath: string };
  };
}

interface Items {
  readonly items?: readonly { readonly key: string; readonly path: string }[];
}

interface Volume {
  readonly name: string;
  readonly emptyDir?: object;
  readonly persistentVolumeClaim?: { readonly claimName: string };
  readonly secret?: Items & { readonly secretName: string; readonly defaultMode?: number };
  readonly projected?: {
    readonly defaultMode?: number;
    readonly sources: readonly {
      readonly serviceAccountToken?: { readonly path: string; readonly audience?: string; readonly expirationSeconds?: number };
      readonly configMap?: Items & { readonly name: string };
      readonly secret?: Items & { readonly name: string };
      readonly downwardAPI?: {
        readonly items: readonly { readonly path: string; readonly fieldRef: { readonly fieldPath: string } }[];
      };
    }[];
  };
}

const base64 = (text: string): string => Buffer.from(text, 'base64').toString('utf8');
const plain = (text: string): string => text;

/** The container's variables. Rejects when a Secret or an entry is missing, as a kubelet would not start it. */
export async function variablesOf(kube: Kube, pod: Pod, container: PodContainer): Promise<Readonly<Record<string, string>>> {
  const entries = (container.env ?? []).map(async ({ name, value, valueFrom }) => {
    const { secretKeyRef, fieldRef } = valueFrom ?? {};
    if (fieldRef !== undefined) return [name, fieldOf(pod, fieldRef.fieldPath)] as const;
    if (secretKeyRef === undefined) return [name, value ?? ''] as const;
    const data = await entriesOf(kube, pod, 'secrets', secretKeyRef.name);
    return [name, needed(data[secretKeyRef.key], `${secretKeyRef.name}/${secretKeyRef.key}`)] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** Where the volumes of a Pod lie. */
export interface VolumeFolders {
  /** Those that live as long as its container. */
  readonly own: string;
  /** Those that outlive the Pod, one for each claim. */
  readonly claims: string;
}

/** Writes the Pod's volumes and says where the container sees them. */
export async function mountsOf(kube: Kube, pod: Pod, container: PodContainer, folders: VolumeFolders): Promise<readonly Mount[]> {
  const mounts = (container.volumeMounts ?? []).map(async ({ name, mountPath, readOnly = false }): Promise<Mount> => {
    const volume = needed(
      pod.spec.volumes?.find((one) => one.name === name),
      `volume ${name}`,
    );
    const claim = volume.persistentVolumeClaim?.claimName;
    const source = claim === undefined ? join(folders.own, name) : join(folders.claims, claim);
    await writeVolume(kube, pod, volume, source);
    return { source, target: mountPath, readOnly: readOnly || !isWritable(volume) };
  });
  return await Promise.all(mounts);
}

const isWritable = (volume: Volume): boolean => (volume.emptyDir ?? volume.persistentVolumeClaim) !== undefined;

async function writeVolume(kube: Kube, pod: Pod, volume: Volume, folder: string): Promise<void> {
  const group = pod.spec.securityContext?.fsGroup ?? 0;
  mkdirSync(folder, { recursive: true });
  chownSync(folder, 0, group);
  chmodSync(folder, isWritable(volume) ? 0o770 : 0o750);
  const mode = volume.secret?.defaultMode ?? volume.projected?.defaultMode ?? 0o644;
  for (const [path, text] of await filesOf(kube, pod, volume)) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    chownSync(file, 0, group);
    // As a kubelet with an fsGroup: the group may read.
    chmodSync(file, group === 0 ? mode : mode | 0o040);
  }
}

async function filesOf(kube: Kube, pod: Pod, volume: Volume): Promise<readonly (readonly [path: string, text: string])[]> {
  if (isWritable(volume)) return [];
  if (volume.secret !== undefined) return picked(await entriesOf(kube, pod, 'secrets', volume.secret.secretName), volume.secret);
  if (volume.projected === undefined) throw new Error(`a kubelet of the tests knows no volume such as ${volume.name}`);
  const sources = volume.projected.sources.map(async (source): Promise<readonly (readonly [string, string])[]> => {
    const { serviceAccountToken, configMap, secret, downwardAPI } = source;
    if (serviceAccountToken !== undefined) return [[serviceAccountToken.path, await tokenOf(kube, pod, serviceAccountToken)]];
    if (configMap !== undefined) return picked(await entriesOf(kube, pod, 'configmaps', configMap.name), configMap);
    if (secret !== undefined) return picked(await entriesOf(kube, pod, 'secrets', secret.name), secret);
    return (downwardAPI?.items ?? []).map(({ path, fieldRef }) => [path, fieldOf(pod, fieldRef.fieldPath)] as const);
  });
  return (await Promise.all(sources)).flat();
}

function picked(data: Readonly<Record<string, string>>, { items }: Items): readonly (readonly [string, string])[] {
  if (items === undefined) return Object.entries(data);
  return items.map(({ key, path }) => [path, needed(data[key], key)] as const);
}

/** A token as a kubelet gets it: of the Pod's ServiceAccount, bound to the Pod. */
async function tokenOf(
  kube: Kube,
  { metadata, spec }: Pod,
  { audience, expirationSeconds = 3607 }: { readonly audience?: string; readonly expirationSeconds?: number },
): Promise<string> {
  const path = `/api/v1/namespaces/${metadata.namespace}/serviceaccounts/${spec.serviceAccountName}/token`;
  const body = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      ...(audience === undefined ? {} : { audiences: [audience] }),
      expirationSeconds,
      boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: metadata.name, uid: metadata.uid },
    },
  };
  const answer = await kube.request('POST', path, { body });
  if (answer.status !== 201) throw new Error(`no token for ${metadata.name}: ${JSON.stringify(answer.body)}`);
  return (answer.body as { status: { token: string } }).status.token;
}

async function entriesOf(
  kube: Kube,
  pod: Pod,
  kind: 'secrets' | 'configmaps',
  name: string,
): Promise<Readonly<Record<string, string>>> {
  const answer = await kube.request('GET', `/api/v1/namespaces/${pod.metadata.namespace}/${kind}/${name}`);
  if (answer.status !== 200) throw new Error(`${kind} ${name} is missing`);
  const { data = {} } = answer.body as { data?: Readonly<Record<string, string>> };
  const decode = kind === 'secrets' ? base64 : plain;
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, decode(text)]));
}

function fieldOf({ metadata, spec }: Pod, path: string): string {
  const fields: Readonly<Record<string, string | undefined>> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'spec.nodeName': spec.nodeName,
    'status.podIP': '127.0.0.1',
  };
  return needed(fields[path], path);
}

function needed<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new Error(`${what} is missing`);
  return found;
}
