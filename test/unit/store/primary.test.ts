import { describe, expect, test } from 'vitest';

import { choosePrimary, provenForMs, surveyOf } from '../../../operator/src/store/primary.ts';
import type { HostView, PrimarySurvey } from '../../../operator/src/store/primary.ts';

const silent: HostView = { kind: 'silent' };
const primary = (timeline: number, beats?: number, heartbeatAgeMs = 1_000): HostView => ({
  kind: 'primary',
  timeline,
  ...(beats === undefined ? {} : { beats, heartbeatAgeMs }),
});
const standby = (beats?: number): HostView => ({ kind: 'standby', ...(beats === undefined ? {} : { beats }) });

describe('the host to use', () => {
  test.each<readonly [string, readonly HostView[], number | undefined]>([
    ['is the one that accepts writes', [standby(), primary(1)], 1],
    ['is the one of the latest promotion, wherever it stands', [primary(1), primary(2)], 1],
    ['is the first of equals', [silent, primary(3), primary(3)], 1],
    ['is the promoted one, although it lacks the last heartbeats', [primary(1, 100), primary(2, 97)], 1],
    ['is not one that was cut off and promoted twice: the operator writes elsewhere', [primary(3, 90), primary(2, 100)], 1],
    ['is not one that has no heartbeat, while another has', [primary(5), primary(1, 100)], 1],
    [
      'is the most recently promoted one of those that the operator may write to',
      [primary(3, 6), primary(2, 8), primary(1, 10)],
      1,
    ],
    ['is the one in use before the operator, which was down, goes on', [primary(1, 100), primary(2, 100), standby(100)], 1],
    ['is none when nobody accepts writes', [silent, standby()], undefined],
  ])('%s', (_title, views, chosen) => {
    expect(choosePrimary(views)).toBe(chosen);
  });
});

describe('the host in use', () => {
  test.each<readonly [string, readonly HostView[], boolean]>([
    ['stays while its standbys follow it', [primary(1, 50), standby(49), standby(50)], false],
    ['stays while nobody else answers', [primary(1), silent, silent], false],
    ['stays beside an older one that came back', [primary(2, 50), primary(1, 10)], false],
    ['stays beside an older one that was promoted twice', [primary(2, 50), primary(3, 40)], false],
    ['stays after its promotion, although it lacks the last heartbeats', [primary(2, 47), standby(50), primary(1, 50)], false],
    ['stays if only one that is out of the question was promoted later', [primary(2, 8), primary(3, 6), primary(1, 10)], false],
    ['is left when another was promoted', [primary(1), primary(2)], true],
    ['is left when another one was promoted that lacks the last heartbeats', [primary(1, 50), primary(2, 47)], true],
    ['is left when the operator writes to another, however often it was promoted', [primary(3, 50), primary(2, 54)], true],
    ['is left when a standby has seen more heartbeats: it follows another primary', [primary(1, 50), standby(54)], true],
    ['is left when a standby knows heartbeats and it does not', [primary(1), standby(70)], true],
    ['is left when it is a standby now', [standby(), silent], true],
    ['is not said to be replaced because it is silent', [silent, primary(1)], false],
  ])('%s', (_title, views, superseded) => {
    expect(surveyOf(views, 0).superseded).toBe(superseded);
  });

  test('tells how old its own heartbeat is, and not that of another', () => {
    expect(surveyOf([primary(1, 40, 60_000), standby(41)], 0)).toEqual({
      hosts: 2,
      answered: 2,
      superseded: false,
      heartbeatAgeMs: 60_000,
    });
    expect(surveyOf([silent, standby(49)], 0)).not.toHaveProperty('heartbeatAgeMs');
  });
});

describe('what proves the primary', () => {
  const survey = (changes: Partial<PrimarySurvey>): PrimarySurvey => ({ hosts: 3, answered: 1, superseded: false, ...changes });
  const beating = { heartbeatAgeMs: 4_000 };
  const old = { heartbeatAgeMs: 60_000 };
  test.each<readonly [string, 'auto' | 'on' | 'off', Partial<PrimarySurvey>, number | undefined]>([
    ['a heartbeat, for the rest of its time', 'auto', beating, 56_000],
    ['no heartbeat that is too old', 'auto', old, undefined],
    ['most hosts, while the operator is down', 'auto', { ...old, answered: 2 }, 60_000],
    ['half of the hosts is not most of them', 'auto', { hosts: 2, answered: 1 }, undefined],
    ['nothing against a host that was replaced', 'auto', { ...beating, answered: 3, superseded: true }, undefined],
    ['a single host is believed', 'auto', { hosts: 1 }, Infinity],
    ['a single host is not, where a heartbeat is required', 'on', { hosts: 1 }, undefined],
    ['most hosts are not, where a heartbeat is required', 'on', { ...old, answered: 3 }, undefined],
    ['a heartbeat of a single host, where it is required', 'on', { hosts: 1, ...beating }, 56_000],
    ['nothing is asked for', 'off', { superseded: true }, Infinity],
  ])('%s (%s)', (_title, rule, changes, proven) => {
    expect(provenForMs(survey(changes), rule, 60_000)).toBe(proven);
  });
});
