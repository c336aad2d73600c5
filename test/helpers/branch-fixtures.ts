import {type BranchRecord, newBranchRecord} from '../../reconciler/branch-record.ts';
import type {Container} from '../../reconciler/containers/provider.ts';
import type {ControlState} from '../../schemas/control-state.ts';

/** A preview that was applied at commit `a…a`, unless said otherwise. */
export function recordWith(changes: Partial<BranchRecord> = {}): BranchRecord {
  return {
    ...newBranchRecord({repository: '/srv/repo', path: '.', branch: 'feature/x', live: false}),
    revision: 'a'.repeat(40),
    seen_at: '2026-01-01T00:00:00.000Z',
    container_id: '0123456789abcdef01234567',
    applied: {
      revision: 'a'.repeat(40),
      root_tree: 'tree-a',
      environment: 'environment-a',
      deployment: 'deployment-a',
      crontabs: {root: {sha256: 'text-a', raw_etag: '"raw-a"'}},
    },
    ...changes,
  };
}

export function containerWith(changes: Partial<Container> = {}): Container {
  return {
    id: '0123456789abcdef01234567',
    name: 'feature-x-00000000',
    labels: {},
    createdAt: '2026-01-01T00:00:00.000Z',
    state: 'running',
    controlSocket: '/nowhere/control.sock',
    kitUrl: 'http://127.80.0.1:80',
    limits: {cpus: null, memoryBytes: null},
    unenforced: [],
    runtimeVersion: '0.1.0',
    ...changes,
  };
}

/** A runtime that is in sync with `recordWith()`. */
export function runtimeWith(changes: Partial<ControlState> = {}): ControlState {
  return {
    api_version: 1,
    runtime_version: '0.1.0',
    schedule: {state: 'running', reason: null},
    environment: {revision: 'a'.repeat(40), digest: 'environment-a'},
    workspace: {tree: 'tree-a'},
    deployment: {digest: 'deployment-a'},
    crontabs: {root: {raw_etag: '"raw-a"', jobs: 1, managed: 0}},
    running_jobs: 0,
    limits: [],
    next_run: null,
    last_run: null,
    ...changes,
  };
}
