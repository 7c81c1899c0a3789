-- A session outlives the row of its task. own: that the row is not there is as it
-- should be (retention took it, or the operator spoke since), as JSON with what else is
-- known of the task; NULL where its row is there, or should be.
ALTER TABLE agent_sessions ADD COLUMN without_task TEXT;
