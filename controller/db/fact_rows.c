/* fact_rows.c - stores small facts, a text for a key, that outlive the controller. */
#include "controller/db/fact_rows.h"

#include "controller/db/connection.h"

int db_fact_get(struct db *s, const char *key, char *out, size_t size)
{
	struct error e = { 0 };

	read_begin(s);
	struct query q = query(s, "SELECT value FROM facts WHERE key = ?1");
	q_text(&q, key);
	int r = q_row(&q);
	if (r > 0)
		q_get_text(&q, out, size);
	return read_end(s, q_end(&q, r), "facts", &e);
}

int db_fact_set(struct db *s, const char *key, const char *value)
{
	struct error e = { 0 };

	if (tx_begin(s, &e) < 0)
		return -1;
	struct query q = query(s, "INSERT INTO facts(key, value) VALUES (?1, ?2)"
				  " ON CONFLICT(key) DO UPDATE SET value = excluded.value");
	q_text(&q, key);
	q_text(&q, value);
	return tx_end(s, q_run(&q), "facts", &e);
}
