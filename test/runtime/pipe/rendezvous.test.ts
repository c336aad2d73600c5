import test from 'ava';
import fc from 'fast-check';
import {
  type Action,
  delivered,
  fail,
  joinReceiver,
  joinSender,
  leave,
  type PartyId,
  type PipeState,
  type Terms,
  type Transition,
  uploaded,
  waitEnded,
} from '../../../runtime/pipe/rendezvous.ts';
import {AppError} from '../../../schemas/errors.ts';
import {fuzz} from '../../helpers/fuzz.ts';

const terms = (max: number, {min = max, isLive = false} = {}): Terms => ({receivers: {min, max}, isLive});

function receiversOn(of: Terms, ...ids: PartyId[]): PipeState | null {
  return ids.reduce<PipeState | null>((state, id) => joinReceiver(state, id, of).state, null);
}

const doings = ({actions}: Transition) => actions.map((action) => action.do);

test('S86: receivers may come first, and the sender starts the transfer', (t) => {
  const waiting = receiversOn(terms(2), 1, 2);
  t.like(waiting, {phase: 'waiting', sender: null});
  const next = joinSender(waiting, 3, terms(2));
  t.deepEqual(doings(next), ['greet_sender', 'start']);
  t.like(next.state, {phase: 'streaming', sender: 3, receivers: [1, 2]});
});

test('S74: with a sender there, the transfer waits for the last of its receivers', (t) => {
  let state = joinSender(null, 100, terms(8)).state;
  for (let id = 1; id < 8; id += 1) {
    const next = joinReceiver(state, id, terms(8));
    t.deepEqual(doings(next), ['announce_receiver']);
    state = next.state;
  }
  t.deepEqual(doings(joinReceiver(state, 8, terms(8))), ['announce_receiver', 'start']);
});

for (const {title, state, join, code} of [
  {
    title: 'a second sender while one waits',
    state: joinSender(null, 1, terms(1)).state,
    join: (here: PipeState | null) => joinSender(here, 2, terms(1)),
    code: 'PIPE_OCCUPIED',
  },
  {
    title: 'a second sender while one streams',
    state: joinSender(receiversOn(terms(1), 1), 2, terms(1)).state,
    join: (here: PipeState | null) => joinSender(here, 3, terms(1)),
    code: 'PIPE_OCCUPIED',
  },
  {
    title: 'a receiver beyond n',
    state: receiversOn(terms(2), 1, 2),
    join: (here: PipeState | null) => joinReceiver(here, 3, terms(2)),
    code: 'PIPE_OCCUPIED',
  },
  {
    title: 'a receiver of a transfer that runs',
    state: joinSender(receiversOn(terms(1), 1), 2, terms(1)).state,
    join: (here: PipeState | null) => joinReceiver(here, 3, terms(1)),
    code: 'PIPE_OCCUPIED',
  },
  {
    title: 'a receiver with another n',
    state: receiversOn(terms(2), 1),
    join: (here: PipeState | null) => joinReceiver(here, 2, terms(3)),
    code: 'PIPE_RECEIVERS_DIFFER',
  },
  {
    title: 'a sender with a range where the receivers have a number',
    state: receiversOn(terms(3), 1),
    join: (here: PipeState | null) => joinSender(here, 2, terms(3, {min: 2})),
    code: 'PIPE_RECEIVERS_DIFFER',
  },
  {
    title: 'a live sender among receivers that are not',
    state: receiversOn(terms(1), 1),
    join: (here: PipeState | null) => joinSender(here, 2, terms(1, {isLive: true})),
    code: 'PIPE_KIND_DIFFERS',
  },
]) {
  test(`refused: ${title}`, (t) => {
    const error = t.throws(() => join(state), {instanceOf: AppError});
    t.like(error, {code});
  });
}

test('a range starts with whoever is there when a waiting time ends, and not with fewer than its least', (t) => {
  const range = terms(8, {min: 2});
  const one = joinSender(receiversOn(range, 1), 9, range).state;
  t.deepEqual(doings(waitEnded(one ?? t.fail() ?? never(), 9)), ['expire']);
  const two = joinReceiver(one, 2, range).state;
  const started = waitEnded(two ?? never(), 9);
  t.deepEqual(started.actions, [{do: 'start', sender: 9, receivers: [1, 2]}]);
});

test('a live stream starts without receivers, takes them as they come, and goes on when the last one leaves', (t) => {
  const live = terms(1, {isLive: true});
  const started = joinSender(null, 1, live);
  t.deepEqual(doings(started), ['greet_sender', 'start']);
  const joined = joinReceiver(started.state, 2, live);
  t.deepEqual(doings(joined), ['add_receiver']);
  const left = leave(joined.state ?? never(), 2);
  t.deepEqual(doings(left), ['drop_receiver']);
  t.like(left.state, {phase: 'streaming'});
});

test('S81: whose waiting time ends alone is told what is missing', (t) => {
  const alone = receiversOn(terms(1), 1);
  t.deepEqual(waitEnded(alone ?? never(), 1), {
    state: null,
    actions: [{do: 'expire', party: 1, missing: 'sender'}],
  });
  const sender = joinSender(null, 1, terms(1)).state;
  t.deepEqual(waitEnded(sender ?? never(), 1).actions, [{do: 'expire', party: 1, missing: 'receivers'}]);
});

type Command =
  | {readonly type: 'sender' | 'receiver'; readonly terms: Terms}
  | {readonly type: 'leave' | 'wait'; readonly party: number}
  | {readonly type: 'uploaded' | 'delivered' | 'fail'};

const someTerms = fc.constantFrom(terms(1), terms(2), terms(3), terms(3, {min: 1}), terms(1, {isLive: true}));
/** Who has a place, as somebody knows it who only sees who comes and goes. */
interface Model {
  readonly present: Set<PartyId>;
  running: number;
}

interface Real {
  state: PipeState | null;
  parties: number;
}

const explored = (command: Command): fc.Command<Model, Real> => ({
  check: () => true,
  run(model, real) {
    const {present} = model;
    real.parties += 1;
    const next = step(real.state, command, real.parties);
    if (next === null) return;
    if (command.type === 'sender' || command.type === 'receiver') present.add(real.parties);
    if (command.type === 'leave') present.delete(command.party);
    if (command.type === 'uploaded' && real.state?.phase === 'streaming') present.delete(real.state.sender);
    for (const action of next.actions) {
      model.running += change(action);
      if (action.do === 'expire') present.delete(action.party);
    }
    real.state = next.state;
    if (real.state === null) present.clear();
    check(real.state, model.running, present);
  },
  toString: () => JSON.stringify(command),
});

const commands = fc.commands(
  [
    fc
      .record({type: fc.constantFrom('sender' as const, 'receiver' as const), terms: someTerms})
      .map(explored),
    fc
      .record({type: fc.constantFrom('leave' as const, 'wait' as const), party: fc.nat({max: 12})})
      .map(explored),
    fc
      .record({type: fc.constantFrom('uploaded' as const, 'delivered' as const, 'fail' as const)})
      .map(explored),
  ],
  {maxCommands: 30},
);

test('whatever happens, each transfer that starts ends once, and who has a place is in the state', async (t) => {
  await fuzz(
    t,
    fc.property(commands, (list) =>
      fc.modelRun(
        () => ({model: {present: new Set<PartyId>(), running: 0}, real: {state: null, parties: 0}}),
        list,
      ),
    ),
    {runs: 3000},
  );
});

function step(state: PipeState | null, command: Command, id: PartyId): Transition | null {
  try {
    if (command.type === 'sender') return joinSender(state, id, command.terms);
    if (command.type === 'receiver') return joinReceiver(state, id, command.terms);
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
  if (state === null) return null;
  if (command.type === 'leave') return leave(state, command.party);
  if (command.type === 'wait') {
    const isThere =
      state.receivers.includes(command.party) || ('sender' in state && state.sender === command.party);
    return isThere ? waitEnded(state, command.party) : null;
  }
  if (command.type === 'uploaded') return state.phase === 'streaming' ? uploaded(state) : null;
  if (command.type === 'delivered') return state.phase === 'delivering' ? delivered(state) : null;
  return state.phase === 'waiting' ? null : fail(state, 'idle');
}

function change(action: Action): number {
  if (action.do === 'start') return 1;
  return action.do === 'complete' || action.do === 'fail' ? -1 : 0;
}

function check(state: PipeState | null, running: number, present: ReadonlySet<PartyId>): void {
  const isRunning = state !== null && state.phase !== 'waiting';
  if (running !== (isRunning ? 1 : 0)) throw new Error(`${running} transfers in ${JSON.stringify(state)}`);
  if (state === null) return;
  const {terms: of, receivers} = state;
  const sender = 'sender' in state && state.sender !== null ? [state.sender] : [];
  const inState = [...receivers, ...sender].sort((a, b) => a - b).join();
  if (inState !== [...present].sort((a, b) => a - b).join())
    throw new Error(`${inState} in the state, ${[...present]} there`);
  if (!of.isLive && receivers.length > of.receivers.max) throw new Error('too many receivers');
  if (isRunning && !of.isLive && receivers.length === 0) throw new Error('a transfer to nobody');
  const isFull = receivers.length === of.receivers.max || of.isLive;
  if (!isRunning && sender.length === 1 && isFull) throw new Error('all are there and nothing starts');
}

function never(): never {
  throw new Error('not reached');
}
