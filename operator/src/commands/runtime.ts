/**
 * The oldest Node that runs the program. Before it, a resumed TLS 1.3 session without a client certificate counted as
 * authorised (node:tls, `socket.authorized`).
 */
export const leastNode = '24.21.0';

/** Why this Node is not supported, in one sentence; `undefined` = it is supported. `running` is `process.versions.node`. */
export function nodeFault(running: string): string | undefined {
  const [own, least] = [running, leastNode].map((version) => version.split('.').map((part) => Number.parseInt(part, 10)));
  for (const [index, wanted] of (least ?? []).entries()) {
    const part = own?.[index] ?? 0;
    if (part > wanted) return undefined;
    if (part < wanted) return `Node ${leastNode} or newer is needed, for a fix in its TLS; this is Node ${running}`;
  }
  return undefined;
}
