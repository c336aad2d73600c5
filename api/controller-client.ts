import * as z from 'zod';
import {
  type Backup,
  type BackupList,
  backupListSchema,
  backupSchema,
  type RestoreData,
} from '../schemas/backup.ts';
import {type Branch, branchListSchema, branchSchema, type RollbackRequest} from '../schemas/branch.ts';
import {
  type ContainerItem,
  type ContainerOperation,
  type CreateContainer,
  type CreateSnapshot,
  containerEnvelopeSchema,
  containerItemSchema,
  containerListSchema,
  deletedSchema,
  type SnapshotView,
  snapshotListSchema,
  snapshotSchema,
} from '../schemas/container-api.ts';
import {type Delivery, deliveryListSchema, deliverySchema} from '../schemas/delivery.ts';
import {type EnvironmentList, environmentListSchema} from '../schemas/environment.ts';
import {
  type KeepRequest,
  type Promotion,
  type PromotionPull,
  promotionPullSchema,
  promotionSchema,
} from '../schemas/hand-change.ts';
import {type Explanation, explanationSchema, type JournalEvent, journalSchema} from '../schemas/journal.ts';
import {type QueueStatus, queueStatusSchema} from '../schemas/queue.ts';
import {type RepositoryStatus, repositoryListSchema} from '../schemas/repository.ts';
import {type RunList, runListSchema} from '../schemas/run.ts';
import {type ShellEvent, type ShellRequest, type ShellSize, shellEventSchema} from '../schemas/shell.ts';
import type {SuspendRequest} from '../schemas/suspension.ts';
import {type CreatedToken, createdTokenSchema, type TokenView, tokenListSchema} from '../schemas/token.ts';
import {askController} from './controller-request.ts';
import {responseLines} from './response-lines.ts';
import {readServerSentEvents} from './server-sent-events.ts';

/** The command line's side of the controller's API. Errors are AppErrors with the controller's own code. */
export interface ControllerClient {
  readonly url: string;
  branches(): Promise<Branch[]>;
  branch(keyOrName: string): Promise<Branch>;
  repositories(): Promise<RepositoryStatus[]>;
  queue(): Promise<QueueStatus>;
  reconcile(keyOrName: string): Promise<string>;
  reconcileAll(options: {confirmDeletions: boolean}): Promise<string>;
  restore(keyOrName: string): Promise<Branch>;
  release(keyOrName: string, job: string | null): Promise<Branch>;
  rollback(keyOrName: string, request: RollbackRequest): Promise<Branch>;
  undoRollback(keyOrName: string): Promise<Branch>;
  keep(keyOrName: string, request: KeepRequest): Promise<Branch>;
  endKeep(keyOrName: string): Promise<Branch>;
  promotion(keyOrName: string): Promise<Promotion>;
  promote(keyOrName: string): Promise<PromotionPull>;
  suspend(keyOrName: string, request: SuspendRequest): Promise<Branch>;
  resume(keyOrName: string): Promise<Branch>;
  adopt(): Promise<{adopted: number}>;
  forget(keyOrName: string): Promise<void>;
  environment(keyOrName: string): Promise<EnvironmentList['items']>;
  runs(keyOrName: string, query: Readonly<Record<string, string>>): Promise<RunList>;
  history(keyOrName: string, query: {limit: string}): Promise<JournalEvent[]>;
  explain(subject: string): Promise<Explanation>;
  backups(keyOrName: string): Promise<BackupList>;
  backupData(keyOrName: string): Promise<Backup>;
  restoreData(keyOrName: string, request: RestoreData): Promise<Branch>;
  tokens(): Promise<TokenView[]>;
  createToken(user: string): Promise<CreatedToken>;
  revokeToken(id: string): Promise<void>;
  createLoginLink(): Promise<string>;
  containers(): Promise<ContainerItem[]>;
  container(container: string): Promise<ContainerItem>;
  /** `stop` and `restart` take as long as the jobs of the container take to end. */
  operateContainer(container: string, operation: ContainerOperation): Promise<ContainerItem>;
  createContainer(request: CreateContainer): Promise<ContainerItem>;
  /** Takes as long as the jobs of the container take to end. */
  deleteContainer(container: string): Promise<void>;
  snapshots(): Promise<SnapshotView[]>;
  createSnapshot(request: CreateSnapshot): Promise<SnapshotView>;
  deleteSnapshot(name: string): Promise<void>;
  /** The last webhooks, newest first. */
  deliveries(count: number): Promise<Delivery[]>;
  delivery(id: string): Promise<Delivery>;
  /** Ends with the program; leaving it ends the program. */
  shell(keyOrName: string, request: ShellRequest, options: {signal: AbortSignal}): AsyncIterable<ShellEvent>;
  /** Resolves when the next piece may be sent. */
  shellInput(keyOrName: string, id: string, bytes: Uint8Array, options: {end: boolean}): Promise<void>;
  resizeShell(keyOrName: string, id: string, size: ShellSize): Promise<void>;
  /** The first event is `connected`, with an empty key: what is read from then on misses nothing. Ends with the connection or the signal. */
  events(options: {signal: AbortSignal}): AsyncIterable<{type: string; key: string}>;
}

const requestTimeoutMs = 30_000;
/** Files may be copied, and jobs have their grace to end. */
const longRequestTimeoutMs = 30 * 60_000;

export function createControllerClient({url, token}: {url: string; token: string}): ControllerClient {
  const call = async <T>(
    schema: z.ZodType<T>,
    method: string,
    path: string,
    {timeoutMs = requestTimeoutMs, body}: {timeoutMs?: number; body?: object} = {},
  ): Promise<T> => {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await askController(url, token, method, path, {
      signal,
      ...(body === undefined ? {} : {body}),
    });
    return schema.parse(await response.json());
  };
  const timeoutMs = longRequestTimeoutMs;
  const branchPath = (keyOrName: string) => `/api/v1/branches/${encodeURIComponent(keyOrName)}`;
  const accepted = z.object({request_id: z.string()});
  return {
    url,
    branches: async () => (await call(branchListSchema, 'GET', '/api/v1/branches')).items,
    branch: (keyOrName) => call(branchSchema, 'GET', branchPath(keyOrName)),
    repositories: async () => (await call(repositoryListSchema, 'GET', '/api/v1/repositories')).items,
    queue: () => call(queueStatusSchema, 'GET', '/api/v1/queue'),
    reconcile: async (keyOrName) =>
      (await call(accepted, 'POST', `${branchPath(keyOrName)}/reconcile`)).request_id,
    reconcileAll: async ({confirmDeletions}) =>
      (await call(accepted, 'POST', `/api/v1/reconcile?confirm_deletions=${confirmDeletions}`)).request_id,
    restore: (keyOrName) => call(branchSchema, 'POST', `${branchPath(keyOrName)}/restore`),
    release: (keyOrName, job) =>
      call(
        branchSchema,
        'POST',
        `${branchPath(keyOrName)}/release${job === null ? '' : `?job=${encodeURIComponent(job)}`}`,
      ),
    rollback: (keyOrName, body) =>
      call(branchSchema, 'POST', `${branchPath(keyOrName)}/rollback`, {body, timeoutMs}),
    undoRollback: (keyOrName) =>
      call(branchSchema, 'DELETE', `${branchPath(keyOrName)}/rollback`, {timeoutMs}),
    keep: (keyOrName, body) => call(branchSchema, 'PUT', `${branchPath(keyOrName)}/keep`, {body}),
    endKeep: (keyOrName) => call(branchSchema, 'DELETE', `${branchPath(keyOrName)}/keep`),
    promotion: (keyOrName) => call(promotionSchema, 'GET', `${branchPath(keyOrName)}/promotion`),
    promote: (keyOrName) =>
      call(promotionPullSchema, 'POST', `${branchPath(keyOrName)}/promotion`, {timeoutMs}),
    suspend: (keyOrName, body) => call(branchSchema, 'PUT', `${branchPath(keyOrName)}/suspension`, {body}),
    resume: (keyOrName) => call(branchSchema, 'DELETE', `${branchPath(keyOrName)}/suspension`),
    adopt: () => call(z.object({adopted: z.int()}), 'POST', '/api/v1/adopt'),
    forget: async (keyOrName) => {
      await askController(url, token, 'POST', `${branchPath(keyOrName)}/forget`, {
        signal: AbortSignal.timeout(longRequestTimeoutMs),
      });
    },
    deliveries: async (count) =>
      (await call(deliveryListSchema, 'GET', `/api/v1/deliveries?limit=${count}`)).items,
    delivery: (id) => call(deliverySchema, 'GET', `/api/v1/deliveries/${encodeURIComponent(id)}`),
    environment: async (keyOrName) =>
      (await call(environmentListSchema, 'GET', `${branchPath(keyOrName)}/environment`)).items,
    runs: (keyOrName, query) =>
      call(runListSchema, 'GET', `${branchPath(keyOrName)}/runs?${new URLSearchParams(query)}`),
    history: async (keyOrName, query) =>
      (await call(journalSchema, 'GET', `${branchPath(keyOrName)}/history?${new URLSearchParams(query)}`))
        .items,
    explain: (subject) =>
      call(explanationSchema, 'GET', `/api/v1/explanations/${encodeURIComponent(subject)}`),
    backups: (keyOrName) => call(backupListSchema, 'GET', `${branchPath(keyOrName)}/backups`),
    backupData: (keyOrName) => call(backupSchema, 'POST', `${branchPath(keyOrName)}/backups`, {timeoutMs}),
    restoreData: (keyOrName, body) =>
      call(branchSchema, 'POST', `${branchPath(keyOrName)}/data/restore`, {body, timeoutMs}),
    tokens: async () => (await call(tokenListSchema, 'GET', '/api/v1/tokens')).items,
    createToken: (user) => call(createdTokenSchema, 'POST', '/api/v1/tokens', {body: {user}}),
    async revokeToken(id) {
      await call(deletedSchema, 'DELETE', `/api/v1/tokens/${encodeURIComponent(id)}`);
    },
    createLoginLink: async () => (await call(z.object({url: z.string()}), 'POST', '/api/v1/login-codes')).url,
    containers: async () => (await call(containerListSchema, 'GET', '/api/v1/containers')).items,
    container: async (container) =>
      (await call(containerEnvelopeSchema, 'GET', `/api/v1/containers/${encodeURIComponent(container)}`)).data
        .container,
    operateContainer: (container, operation) =>
      call(containerItemSchema, 'POST', `/api/v1/containers/${encodeURIComponent(container)}/${operation}`, {
        timeoutMs,
      }),
    createContainer: (body) => call(containerItemSchema, 'POST', '/api/v1/containers', {body, timeoutMs}),
    async deleteContainer(container) {
      await call(deletedSchema, 'DELETE', `/api/v1/containers/${encodeURIComponent(container)}`, {timeoutMs});
    },
    snapshots: async () => (await call(snapshotListSchema, 'GET', '/api/v1/snapshots')).items,
    createSnapshot: (body) => call(snapshotSchema, 'POST', '/api/v1/snapshots', {body, timeoutMs}),
    async deleteSnapshot(name) {
      await call(deletedSchema, 'DELETE', `/api/v1/snapshots/${encodeURIComponent(name)}`, {timeoutMs});
    },
    async *shell(keyOrName, body, {signal}) {
      const path = `${branchPath(keyOrName)}/shells`;
      const response = await askController(url, token, 'POST', path, {signal, body});
      for await (const line of responseLines(response))
        if (line !== '') yield shellEventSchema.parse(JSON.parse(line));
    },
    async shellInput(keyOrName, id, body, {end}) {
      const path = `${branchPath(keyOrName)}/shells/${encodeURIComponent(id)}/input${end ? '?end=true' : ''}`;
      await askController(url, token, 'POST', path, {
        signal: AbortSignal.timeout(longRequestTimeoutMs),
        body,
      });
    },
    async resizeShell(keyOrName, id, body) {
      const path = `${branchPath(keyOrName)}/shells/${encodeURIComponent(id)}/size`;
      await askController(url, token, 'PUT', path, {signal: AbortSignal.timeout(requestTimeoutMs), body});
    },
    async *events({signal}) {
      const response = await askController(url, token, 'GET', '/api/v1/events', {signal});
      for await (const {event, data} of readServerSentEvents(response))
        yield {type: event, key: String(JSON.parse(data).key ?? '')};
    },
  };
}
