import test from 'ava';
import {createExecutionRecorder, type ExecutionStart} from '../../../runtime/exec/execution-recorder.ts';
import {readScriptOptions} from '../../../runtime/exec/script-options.ts';
import {silentLog} from '../../../runtime/platform/log.ts';
import {createSecretMask} from '../../../runtime/platform/secret-mask.ts';
import {FakeClock} from '../../helpers/fake-clock.ts';

test('calls that went well do not pile up while the disk takes no records', async (t) => {
  const clock = new FakeClock();
  let tries = 0;
  const recorder = createExecutionRecorder({
    clock,
    log: silentLog,
    openStore() {
      tries += 1;
      throw new Error('the disk is full');
    },
  });
  const {log} = readScriptOptions([]);
  const ids = Array.from({length: 6000}, (_, index) => `call-${index}`);
  for (const [index, id] of ids.entries()) {
    recorder.begin({...start, id}, log, createSecretMask([]));
    recorder.end(id, {status: 'succeeded', httpStatus: 200, responseBytes: 1, error: null, ...bodies});
    if (index % 400 === 399) await clock.advance(250);
  }
  t.true(tries > 5);
  t.true(ids.filter((id) => recorder.recent(id) !== null).length <= 1000);
  t.not(recorder.recent('call-5999'), null);
});

const bodies = {requestBody: null, responseBody: null};
const start: Omit<ExecutionStart, 'id'> = {
  script: 'a.ts',
  method: 'GET',
  url: '/a',
  client_ip: '',
  commit: null,
  deployment: 'd',
  run_id: null,
  warnings: [],
  request_headers: null,
};
