/* What a search is asked for. Errors come in the order in which Redis finds them: argument by
 * argument, a member is looked up as soon as it is named, and what is missing or does not go
 * together is said at the end. */
#include "src/commands/geo_private.h"

/* A reader's place in the arguments. */
struct reader {
    struct call *call;
    const struct geo_form *form;
    const struct value *source;
    struct geo_search *search;
    size_t next;
    bool failed; /* The error is written. */
};

static enum status fail(struct reader *reader, const char *error)
{
    resp_error(reader->call->out, error);
    reader->failed = true;
    return ST_OK;
}

static size_t arguments_left(const struct reader *reader)
{
    return reader->call->argc - reader->next;
}

static const struct bytes *argument(const struct reader *reader, size_t offset)
{
    return &reader->call->argv[reader->next + offset];
}

/* ------------------------------------------------------------------------------------------
 * The area.
 */

static void read_unit(struct reader *reader, struct bytes word)
{
    reader->failed = !geo_unit_read(reader->call, word, &reader->search->unit_m);
}

/* Radius and unit, from the offset on. */
static enum status read_circle(struct reader *reader, size_t offset)
{
    double radius;
    if (!double_parse(*argument(reader, offset), &radius)) {
        return fail(reader, "ERR need numeric radius");
    }
    if (radius < 0) {
        return fail(reader, "ERR radius cannot be negative");
    }
    read_unit(reader, *argument(reader, offset + 1));
    reader->search->area.shape = GEO_CIRCLE;
    reader->search->area.radius_m = radius * reader->search->unit_m;
    reader->search->shape = true;
    return ST_OK;
}

static enum status read_box(struct reader *reader, size_t offset)
{
    double width;
    double height;
    if (!double_parse(*argument(reader, offset), &width)) {
        return fail(reader, "ERR need numeric width");
    }
    if (!double_parse(*argument(reader, offset + 1), &height)) {
        return fail(reader, "ERR need numeric height");
    }
    if (width < 0 || height < 0) {
        return fail(reader, "ERR height or width cannot be negative");
    }
    read_unit(reader, *argument(reader, offset + 2));
    reader->search->area.shape = GEO_BOX;
    reader->search->area.width_m = width * reader->search->unit_m;
    reader->search->area.height_m = height * reader->search->unit_m;
    reader->search->shape = true;
    return ST_OK;
}

static enum status read_point(struct reader *reader, size_t offset)
{
    reader->failed =
        !geo_point_read(reader->call, argument(reader, offset), &reader->search->area.center);
    reader->search->center = true;
    return ST_OK;
}

/* In a set that is absent nothing is looked up: whatever the centre, nothing is found. */
static enum status read_member(struct reader *reader, size_t offset)
{
    reader->search->center = reader->search->center_a_member = true;
    if (reader->source->type == VALUE_NONE) {
        return ST_OK;
    }
    bool found;
    double score;
    enum status status = zset_score(reader->source, *argument(reader, offset), &found, &score);
    if (status == ST_OK && !found) {
        return fail(reader, "ERR could not decode requested zset member");
    }
    if (status == ST_OK) {
        reader->search->area.center = geo_point_of_score(score);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Options.
 */

/* Those of a single word. */
static bool read_switch(struct reader *reader)
{
    struct geo_search *search = reader->search;
    struct bytes word = *argument(reader, 0);
    if (argument_is(word, "withdist")) {
        search->with_distance = true;
    } else if (argument_is(word, "withhash")) {
        search->with_hash = true;
    } else if (argument_is(word, "withcoord")) {
        search->with_point = true;
    } else if (argument_is(word, "any")) {
        search->any = true;
    } else if (argument_is(word, "asc")) {
        search->order = GEO_NEAREST;
    } else if (argument_is(word, "desc")) {
        search->order = GEO_FARTHEST;
    } else if (reader->form->stores && argument_is(word, "storedist")) {
        search->store_distance = true;
    } else {
        return false;
    }
    reader->next++;
    return true;
}

static enum status read_count(struct reader *reader)
{
    int64_t count;
    if (!argument_int64(reader->call, *argument(reader, 1), &count)) {
        reader->failed = true;
        return ST_OK;
    }
    if (count <= 0) {
        return fail(reader, "ERR COUNT must be > 0");
    }
    reader->search->count_max = (uint64_t)count;
    reader->next += 2;
    return ST_OK;
}

/* FROMMEMBER, FROMLONLAT, BYRADIUS, BYBOX. The same one may come again, and the last counts; the
 * other one of a pair may not. */
static enum status read_area(struct reader *reader)
{
    struct geo_search *search = reader->search;
    struct bytes word = *argument(reader, 0);
    size_t left = arguments_left(reader);
    enum status status = ST_OK;
    if (left > 1 && argument_is(word, "frommember") &&
        (!search->center || search->center_a_member)) {
        status = read_member(reader, 1);
        reader->next += 2;
    } else if (left > 2 && argument_is(word, "fromlonlat") && !search->center_a_member) {
        status = read_point(reader, 1);
        reader->next += 3;
    } else if (left > 2 && argument_is(word, "byradius") &&
               (!search->shape || search->area.shape == GEO_CIRCLE)) {
        status = read_circle(reader, 1);
        reader->next += 3;
    } else if (left > 3 && argument_is(word, "bybox") &&
               (!search->shape || search->area.shape == GEO_BOX)) {
        status = read_box(reader, 1);
        reader->next += 4;
    } else {
        status = fail(reader, "ERR syntax error");
    }
    return status;
}

static enum status read_option(struct reader *reader)
{
    struct bytes word = *argument(reader, 0);
    bool more = arguments_left(reader) > 1;
    if (read_switch(reader)) {
        return ST_OK;
    }
    if (more && argument_is(word, "count")) {
        return read_count(reader);
    }
    bool distance = argument_is(word, "storedist");
    if (more && reader->form->store_words && (distance || argument_is(word, "store"))) {
        reader->search->store_distance = distance;
        reader->search->store_index = reader->next + 1;
        reader->next += 2;
        return ST_OK;
    }
    return reader->form->from == GEO_FROM_OPTION ? read_area(reader)
                                                 : fail(reader, "ERR syntax error");
}

/* What stands between the key and the options of GEORADIUS and its kin. */
static enum status read_places(struct reader *reader)
{
    const struct geo_form *form = reader->form;
    if (form->from == GEO_FROM_OPTION) {
        return ST_OK;
    }
    bool member = form->from == GEO_FROM_MEMBER;
    reader->next = form->source + 2;
    enum status status = member ? read_member(reader, 0) : read_point(reader, 0);
    if (status == ST_OK && !reader->failed && !(member && reader->source->type == VALUE_NONE)) {
        status = read_circle(reader, member ? 1 : 2);
    }
    reader->search->shape = true;
    return status;
}

/* ------------------------------------------------------------------------------------------
 * What does not go together.
 */

static void check_whole(struct reader *reader)
{
    const struct geo_search *search = reader->search;
    struct resp_out *out = reader->call->out;
    struct bytes name = reader->call->argv[0]; /* As it was spelt. */
    reader->failed = true;
    if (search->store_index > 0 &&
        (search->with_distance || search->with_hash || search->with_point)) {
        resp_error_format(out,
                          "ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                          reader->form->stores ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
    } else if (!search->center) {
        resp_error_format(out,
                          "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %.*s",
                          (int)name.size, (const char *)name.data);
    } else if (!search->shape) {
        resp_error_format(out, "ERR exactly one of BYRADIUS and BYBOX can be specified for %.*s",
                          (int)name.size, (const char *)name.data);
    } else if (search->any && search->count_max == 0) {
        resp_error(out, "ERR the ANY argument requires COUNT argument");
    } else {
        reader->failed = false;
    }
}

enum status geo_search_read(struct call *call, const struct geo_form *form,
                            const struct value *source, struct geo_search *search_out,
                            bool *fine_out)
{
    struct reader reader = {.call = call, .form = form, .source = source, .search = search_out};
    *search_out = (struct geo_search){.unit_m = 1, .store_index = form->stores ? 1 : 0};
    enum status status = read_places(&reader);
    reader.next = form->first_option;
    while (status == ST_OK && !reader.failed && arguments_left(&reader) > 0) {
        status = read_option(&reader);
    }
    if (status == ST_OK && !reader.failed) {
        check_whole(&reader);
    }
    if (search_out->count_max > 0 && !search_out->any && search_out->order == GEO_AS_FOUND) {
        search_out->order = GEO_NEAREST;
    }
    *fine_out = status == ST_OK && !reader.failed;
    return status;
}
