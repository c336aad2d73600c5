import type {Branch} from '../schemas/branch.ts';
import type {QueueStatus} from '../schemas/queue.ts';

/** What is counted since the start of the controller, in the text form that Prometheus reads. No name of a branch is in it. */
export interface ControllerMetrics {
  /** The end of the work on a branch. */
  reconciled(outcome: string, tookMs: number): void;
  /** A commit runs, so long after it was seen. */
  active(afterMs: number): void;
  print(gauges: {branches: readonly Branch[]; queue: QueueStatus}): string;
}

const activeBoundsSeconds = [0.025, 0.05, 0.1, 0.15, 0.3, 0.5, 1, 3, 10, 60];

export function createControllerMetrics(): ControllerMetrics {
  const outcomes = new Map<string, {count: number; sumMs: number}>();
  const counts = activeBoundsSeconds.map(() => 0);
  let activeCount = 0;
  let activeSumMs = 0;

  return {
    reconciled(outcome, tookMs) {
      const {count, sumMs} = outcomes.get(outcome) ?? {count: 0, sumMs: 0};
      outcomes.set(outcome, {count: count + 1, sumMs: sumMs + tookMs});
    },
    active(afterMs) {
      activeCount += 1;
      activeSumMs += afterMs;
      activeBoundsSeconds.forEach((bound, index) => {
        if (afterMs <= bound * 1000) counts[index] = (counts[index] ?? 0) + 1;
      });
    },
    print({branches, queue}) {
      const states = new Map<string, number>([
        ['ready', 0],
        ['stalled', 0],
        ['retrying', 0],
        ['other', 0],
      ]);
      for (const branch of branches) states.set(stateOf(branch), (states.get(stateOf(branch)) ?? 0) + 1);
      const stuck = queue.working.filter((work) => work.stuck);
      const longestMs = queue.working[0]?.for_ms ?? 0;
      return [
        ...family('branchtab_branches', 'gauge', 'Branches by state.', [
          ...[...states].map(([state, count]) => ({labels: `{state="${state}"}`, value: count})),
        ]),
        ...gauge('branchtab_queue_waiting', 'Branches that wait for their turn.', queue.waiting),
        ...gauge(
          'branchtab_queue_longest_wait_seconds',
          'How long the branch that has waited longest does so.',
          queue.longest_wait_ms / 1000,
        ),
        ...gauge(
          'branchtab_queue_failing',
          'Branches that failed and are tried again.',
          queue.failing.length,
        ),
        ...gauge('branchtab_reconciles_running', 'Branches that are worked on.', queue.working.length),
        ...gauge('branchtab_reconciles_stuck', 'Work that did not end when it was told to.', stuck.length),
        ...gauge(
          'branchtab_reconcile_longest_running_seconds',
          'How long the present work on one branch takes, at most.',
          longestMs / 1000,
        ),
        ...family(
          'branchtab_reconciles_total',
          'counter',
          'Ends of the work on a branch, by what came of it.',
          [...outcomes].map(([outcome, {count}]) => ({labels: `{outcome="${outcome}"}`, value: count})),
        ),
        ...family(
          'branchtab_reconcile_seconds_total',
          'counter',
          'Time of the work on branches, by what came of it.',
          [...outcomes].map(([outcome, {sumMs}]) => ({
            labels: `{outcome="${outcome}"}`,
            value: sumMs / 1000,
          })),
        ),
        '# HELP branchtab_active_seconds From the first sight of a commit until it runs.',
        '# TYPE branchtab_active_seconds histogram',
        ...activeBoundsSeconds.map(
          (bound, index) => `branchtab_active_seconds_bucket{le="${bound}"} ${counts[index]}`,
        ),
        `branchtab_active_seconds_bucket{le="+Inf"} ${activeCount}`,
        `branchtab_active_seconds_sum ${activeSumMs / 1000}`,
        `branchtab_active_seconds_count ${activeCount}`,
        '',
      ].join('\n');
    },
  };
}

interface Sample {
  readonly labels: string;
  readonly value: number;
}

function gauge(name: string, help: string, value: number): string[] {
  return family(name, 'gauge', help, [{labels: '', value}]);
}

function family(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): string[] {
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(({labels, value}) => `${name}${labels} ${value}`),
  ];
}

function stateOf({conditions}: Branch): 'ready' | 'stalled' | 'retrying' | 'other' {
  const has = (type: string) => conditions.find((condition) => condition.type === type)?.status === 'True';
  if (has('Ready')) return 'ready';
  if (has('Stalled')) return 'stalled';
  return conditions.some(({reason}) => reason === 'retrying') ? 'retrying' : 'other';
}
