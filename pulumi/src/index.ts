/**
 * Keywright for Pulumi programs: the five kinds as typed resources, and two components.
 *
 * @packageDocumentation
 */
export * from './generated/apicatalog.ts';
export * from './generated/apikey.ts';
export * from './generated/keydestination.ts';
export * from './generated/keyowner.ts';
export * from './generated/keyownergroup.ts';
export type * from './generated/values.ts';
export type * from './generated/workloadkeyspec.ts';
export { Keywright, type KeywrightArgs } from './keywright.ts';
export { Replacement } from './replace.ts';
export {
  WorkloadKey,
  type WorkloadKeyArgs,
  type WorkloadKeySecret,
  type WorkloadKeyVariable,
  type WorkloadKeyVolume,
  type WorkloadKeyVolumeMount,
} from './workloadkey.ts';
