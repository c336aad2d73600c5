import test, {type ExecutionContext} from 'ava';
import {smtpDelivery} from '../../../runtime/platform/mail-delivery.ts';
import {type CronWorld, createCronWorld} from '../../helpers/cron-world.ts';
import {createSmtpSink, type SmtpSink} from '../../helpers/smtp-sink.ts';

const minuteMs = 60_000;

async function createMailWorld(t: ExecutionContext): Promise<CronWorld & {sink: SmtpSink}> {
  const sink = await createSmtpSink(t);
  const world = await createCronWorld(t, {mail: {delivery: () => smtpDelivery(sink.url), host: 'shop-main'}});
  return {...world, sink};
}

test('MAILTO gets what a job wrote', async (t) => {
  const {clock, put, sink} = await createMailWorld(t);
  await put('MAILTO="ops@example.org, night@example.org"\n1 9 * * * echo out; echo err >&2; exit 3\n');
  await clock.advance(minuteMs);
  const {from, to, data} = await sink.next();
  t.is(from, 'cron@shop-main');
  t.deepEqual(to, ['ops@example.org', 'night@example.org']);
  const [headers = '', body = ''] = data.split('\n\n');
  t.regex(headers, /^Subject: Cron <root@shop-main> echo out; echo err >&2; exit 3$/m);
  t.regex(headers, /^Auto-Submitted: auto-generated$/m);
  t.is(body.trim(), 'out\nerr');
});

test('MAILFROM names the sender', async (t) => {
  const {clock, put, sink} = await createMailWorld(t);
  await put('MAILTO=ops@example.org\nMAILFROM=jobs@example.org\n1 9 * * * echo out\n');
  await clock.advance(minuteMs);
  t.is((await sink.next()).from, 'jobs@example.org');
});

test('nothing is sent for a job without output, without MAILTO or with an empty one', async (t) => {
  const {clock, put, finished, sink} = await createMailWorld(t);
  await put(
    '1 9 * * * echo without\nMAILTO=ops@example.org\n1 9 * * * true\n2 9 * * * echo only this\nMAILTO=""\n1 9 * * * echo empty\n',
  );
  await clock.advance(2 * minuteMs);
  await finished(4);
  t.regex((await sink.next()).data, /only this/);
});

test('a server that refuses is tried again', async (t) => {
  const {clock, put, finished, sink} = await createMailWorld(t);
  sink.refuse(1);
  await put('MAILTO=ops@example.org\n1 9 * * * echo out\n');
  await clock.advance(minuteMs);
  await finished(1);
  let isSent = false;
  const mail = sink.next().then((received) => {
    isSent = true;
    return received;
  });
  while (!isSent) await clock.advance(1000);
  t.regex((await mail).data, /out/);
});

test('a command cannot write headers of its own', async (t) => {
  const {clock, put, sink} = await createMailWorld(t);
  await put(
    'MAILTO=ops@example.org\n1 9 * * * printf "a\\r\\nBcc: evil@example.org\\r\\n"; : "\rBcc: evil@example.org"\n',
  );
  await clock.advance(minuteMs);
  const {to, data} = await sink.next();
  t.deepEqual(to, ['ops@example.org']);
  const [headers = ''] = data.split('\n\n');
  t.notRegex(headers, /^Bcc:/im);
});
