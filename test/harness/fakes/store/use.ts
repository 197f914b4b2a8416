import type { Instant } from '../../../../operator/src/domain/time.ts';
import { useGrainMs } from '../../../../operator/src/domain/version.ts';
import type { Version, VersionUse } from '../../../../operator/src/domain/version.ts';
import type { ReplicaReport } from '../../../../operator/src/store/horizon.ts';
import type { UsedVersion } from '../../../../operator/src/store/port.ts';
import { compare, optional, replace } from './rows.ts';
import type { MemoryDatabase } from './rows.ts';

const clientsKept = 8;
const dayMs = 86_400_000;
const hourMs = 3_600_000;
const replicasKept = 256;
/** Stands for all replicas beyond those. */
const others = '(others)';

export function recordUse(versions: Version[], used: readonly UsedVersion[], now: Instant): void {
  for (const keyId of new Set(used.map((one) => one.keyId))) {
    const version = versions.find((one) => one.keyId === keyId);
    if (version === undefined) continue;
    const seen = used
      .filter((one) => one.keyId === keyId)
      .map(({ ageMs, by }) => ({ at: now - Math.min(Math.max(ageMs, 0), dayMs), by }));
    const instants = seen.map((one) => one.at);
    if (!isNews(version, seen)) continue;
    const clients = newestClients(version.usedBy ?? [], seen);
    replace(versions, version, {
      ...version,
      firstUsedAt: version.firstUsedAt ?? Math.min(...instants),
      lastUsedAt: Math.max(version.lastUsedAt ?? 0, ...instants),
      ...(clients.length === 0 ? {} : { usedBy: clients }),
    });
  }
}

interface Seen {
  readonly at: Instant;
  readonly by: string | undefined;
}

function isNews({ lastUsedAt, usedBy = [] }: Version, seen: readonly Seen[]): boolean {
  if (lastUsedAt === undefined || seen.some(({ at }) => at - lastUsedAt >= useGrainMs)) return true;
  return newestClients([], seen).some(({ by, at }) => {
    const known = usedBy.find((one) => one.by === by);
    return known === undefined ? usedBy.length < clientsKept : at - known.at >= hourMs;
  });
}

function newestClients(kept: readonly VersionUse[], seen: readonly Seen[]): readonly VersionUse[] {
  const latest = new Map<string, Instant>();
  for (const { by, at } of [...kept, ...seen]) {
    const client = by?.slice(0, 200);
    if (client !== undefined) latest.set(client, Math.max(latest.get(client) ?? 0, at));
  }
  const clients = [...latest].map(([by, at]) => ({ by, at }));
  return clients.sort((a, b) => b.at - a.at || compare(a.by, b.by)).slice(0, clientsKept);
}

export function reportReplica({ replicas }: MemoryDatabase, report: ReplicaReport, now: Instant): void {
  for (const [id, row] of replicas) if (id !== report.id && row.seenAt < now - hourMs) replicas.delete(id);
  if (!replicas.has(report.id) && [...replicas.keys()].filter((id) => id !== others).length >= replicasKept) {
    const dropped = (replicas.get(others)?.dropped ?? 0) + 1;
    replicas.set(others, { seenAt: now, flushedThrough: now, dropped, droppedAt: now });
    return;
  }
  const before = replicas.get(report.id);
  const { id, dropped } = report;
  const droppedAt = dropped > (before?.dropped ?? 0) ? now : before?.droppedAt;
  const flushedThrough = Math.max(Math.min(report.flushedThrough, now), before?.flushedThrough ?? 0);
  replicas.set(id, { seenAt: now, flushedThrough, dropped, ...optional('droppedAt', droppedAt) });
}

export function signOffReplica({ replicas }: MemoryDatabase, id: string, now: Instant): void {
  const row = replicas.get(id);
  if (row !== undefined) replicas.set(id, { ...row, leftAt: now });
}
