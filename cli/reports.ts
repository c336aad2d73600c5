import {join} from 'node:path';
import {type ComparisonContext, compareCommits} from '../reconciler/commit-comparison.ts';
import type {Controller} from '../reconciler/controller.ts';
import {bindingsOf, branchPolicyOf, resolveBindings} from '../reconciler/environments.ts';
import type {Forge, PullRequest} from '../reconciler/forge.ts';
import type {RecordStore} from '../reconciler/record-store.ts';
import {openOutbox} from '../reconciler/reports/outbox.ts';
import {createReporter} from '../reconciler/reports/reporter.ts';
import {createSender} from '../reconciler/reports/sender.ts';
import type {WatchedRepository} from '../reconciler/repository-watch.ts';
import {loadScheduleWords} from '../runtime/cron/schedule-words.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {Config} from '../schemas/config.ts';
import type {ReportsStatus} from '../schemas/delivery.ts';
import type {GitHubConfig} from '../schemas/forge-config.ts';
import type {SecretSource} from '../schemas/secret-source.ts';

/** What is written to the forge. */
export interface Reports {
  /** Follows the controller from now on. */
  start(): void;
  pullRequestsRead(repository: string, pulls: readonly PullRequest[]): void;
  status(): ReportsStatus;
  close(): Promise<void>;
}

/** Reports of the repositories that the forge has, from what was not sent yet when the controller before ended. */
export async function openReports(
  {reports: policy}: GitHubConfig,
  {
    forge,
    sources,
    controller,
    records,
    config,
    stateDirectory,
    checkScript,
    scriptImports,
    readSecret,
    clock,
    log,
  }: {
    forge: Forge;
    sources: readonly WatchedRepository[];
    controller: Controller;
    records: RecordStore;
    config: Config;
    stateDirectory: string;
    readSecret: (source: SecretSource) => Promise<string>;
    clock: Clock;
    log: Log;
  } & Pick<ComparisonContext, 'checkScript' | 'scriptImports'>,
): Promise<Reports> {
  const outbox = await openOutbox({path: join(stateDirectory, 'reports.jsonl'), log, nowMs: clock.now()});
  const sender = createSender({forge, outbox, clock, log, random: Math.random});
  const rules = new Map(sources.map(({source, environments}) => [source.repository, environments]));
  const reporter = createReporter({
    repositories: sources.flatMap(({source, paths, forgePath}) =>
      forgePath?.split('/')[0] === forge.host
        ? [{repository: source.repository, forgePath, source, paths}]
        : [],
    ),
    policy,
    records: () => records.all(),
    recordOf: records.get,
    standing: controller.standing,
    commitOf: controller.commitOf,
    async compare(source, compared, signal) {
      const environments = rules.get(source.repository) ?? [];
      const policyOf = (branch: string, live: boolean) =>
        branchPolicyOf(environments, {branch, live}, config.previews.run);
      const {change} = await compareCommits(source, compared, {
        timeZone: config.timezone,
        nowMs: clock.now(),
        describe: await loadScheduleWords(),
        operator: {preview: policyOf(compared.head.name, false), live: policyOf(compared.base.name, true)},
        others: new Map(),
        checkScript,
        scriptImports,
        signal,
      });
      return change;
    },
    async secretsOf(record) {
      const bindings = bindingsOf(rules.get(record.repository) ?? [], record);
      return Object.values((await resolveBindings(bindings, readSecret)).secrets);
    },
    publicUrl: config.public_url?.replace(/\/+$/, '') ?? null,
    outbox,
    sender,
    clock,
    log,
    random: Math.random,
  });
  let stopFollowing = () => {};
  return {
    start() {
      stopFollowing = controller.subscribe(({key}) => reporter.branchChanged(key));
      reporter.start();
    },
    pullRequestsRead: reporter.pullRequestsRead,
    status: sender.status,
    async close() {
      stopFollowing();
      await reporter.close();
      await sender.close();
      await outbox.close();
    },
  };
}
