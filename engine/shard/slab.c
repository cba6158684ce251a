/* How it lies in memory.
 *
 *     region, 4 MiB, aligned to it
 *     │ header: struct region │ page 1 │ page 2 │ … │ page 63 │
 *                                 │
 *                                 └ objects of one class, back to back, nothing else
 *
 * A page's few words (its free list, how many objects live) stand in the region's header, not in
 * the page: so a page divides evenly into large objects, the words of all pages fit the cache, and
 * a pointer finds them by masking. Of the header's 64 KiB only the first 4 are ever touched.
 *
 * An empty page goes back with MADV_DONTNEED, an empty region with munmap. Unmapping single pages
 * would cut the address space into pieces, and Linux allows a process 65,530 of those: enough to
 * fail at 4 GiB of memory with holes. KEPT_MAX empty pages stay warm, so that one key that comes
 * and goes does not cost a system call each time.
 *
 * A page that was full and gets an object back goes to the head of its class's list, so the fullest
 * pages are filled first and the emptier ones may drain.
 *
 * Rooms above SLAB_STEP_MAX are the page size divided by a whole number, so that the steps of
 * 1/16 waste nothing more at the end of the page (8192 in 64 KiB less a header would lose 12 %).
 */
#include "engine/shard/slab.h"

#include "engine/base/check.h"

#include <stdlib.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#define __lsan_register_root_region(p, size) ((void)(p), (void)(size))
#define __lsan_unregister_root_region(p, size) ((void)(p), (void)(size))
#endif

#define REGION_SIZE (64 * SLAB_PAGE_SIZE)
#define REGION_PAGES 63
#define PAGES_ALL (((uint64_t)1 << REGION_PAGES) - 1)
#define KEPT_MAX 2

#define STEP 8
#define STEP_CLASSES (SLAB_STEP_MAX / STEP)

/* SLAB_PAGE_SIZE / n, rounded down to 8, about 1/16 apart. */
static const uint16_t large_rooms[] = {
    536,  568,  600,  632,  664,  696,  728,  768,  808,  848,  896,  944,  992,  1040, 1088,
    1144, 1208, 1280, 1360, 1424, 1520, 1592, 1680, 1768, 1872, 1984, 2112, 2256, 2424, 2616,
    2848, 3120, 3272, 3448, 3640, 3848, 4096, 4368, 4680, 5040, 5456, 5952, 6552, 7280, 8192};
#define LARGE_CLASSES (sizeof(large_rooms) / sizeof(large_rooms[0]))
#define CLASS_COUNT (STEP_CLASSES + LARGE_CLASSES)

/* The words of a page of objects. */
struct page {
    void *free;        /* Objects given back, each holding the next. */
    struct page *next; /* In the class's list of pages with room, or of kept pages. */
    struct page *previous;
    uint32_t fresh;   /* Offset of the first byte that this use of the page has not handed out. */
    uint32_t touched; /* Offset of the first byte that holds no memory of the system. */
    uint32_t room;    /* Size of an object. */
    uint16_t live;    /* Objects taken. */
    uint16_t class_index;
    uint64_t unused[3];
};

struct region {
    struct slab *slab;
    uint64_t free_pages; /* A bit a page that is not in use. */
    struct region *next; /* In the list of all regions. */
    struct region *previous;
    struct region *open_next; /* In the list of regions with a free page. */
    struct region *open_previous;
    uint64_t unused[2];
    struct page pages[REGION_PAGES];
};
static_assert(sizeof(struct region) == 4096, "one page of the system a region");

struct slab {
    struct page *classes[CLASS_COUNT]; /* Pages with room. */
    struct page *kept;                 /* Empty pages, still warm. */
    struct region *regions;
    struct region *open;
    uint64_t used;
    uint64_t held;
    unsigned kept_count;
};

/* size ≤ SLAB_SIZE_MAX. */
static unsigned class_of(size_t size)
{
    if (size <= SLAB_STEP_MAX) {
        return (unsigned)((size - 1) / STEP);
    }
    unsigned low = 0;
    unsigned high = LARGE_CLASSES - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (large_rooms[middle] < size) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return STEP_CLASSES + low;
}

static uint32_t class_room(unsigned class_index)
{
    return class_index < STEP_CLASSES ? (class_index + 1) * STEP
                                      : large_rooms[class_index - STEP_CLASSES];
}

/* What malloc makes of it: a header of 8 and steps of 16. */
static size_t malloc_room(size_t size)
{
    return (size + 8 + 15) & ~(size_t)15;
}

static struct region *region_of(const void *memory)
{
    return (struct region *)((uintptr_t)memory & ~(uintptr_t)(REGION_SIZE - 1));
}

static unsigned char *page_memory(const struct page *page)
{
    struct region *region = region_of(page);
    return (unsigned char *)region + (size_t)(page - region->pages + 1) * SLAB_PAGE_SIZE;
}

static struct page *page_of(const void *memory)
{
    struct region *region = region_of(memory);
    size_t index = ((uintptr_t)memory & (REGION_SIZE - 1)) / SLAB_PAGE_SIZE;
    CHECK(index > 0);
    return &region->pages[index - 1];
}

static bool page_full(const struct page *page)
{
    return page->free == NULL && page->fresh + page->room > SLAB_PAGE_SIZE;
}

static void page_link(struct slab *slab, struct page *page)
{
    struct page **head = &slab->classes[page->class_index];
    page->previous = NULL;
    page->next = *head;
    if (*head != NULL) {
        (*head)->previous = page;
    }
    *head = page;
}

static void page_unlink(struct slab *slab, struct page *page)
{
    if (page->previous != NULL) {
        page->previous->next = page->next;
    } else {
        slab->classes[page->class_index] = page->next;
    }
    if (page->next != NULL) {
        page->next->previous = page->previous;
    }
}

static void region_open(struct slab *slab, struct region *region)
{
    region->open_previous = NULL;
    region->open_next = slab->open;
    if (slab->open != NULL) {
        slab->open->open_previous = region;
    }
    slab->open = region;
}

static void region_close(struct slab *slab, struct region *region)
{
    if (region->open_previous != NULL) {
        region->open_previous->open_next = region->open_next;
    } else {
        slab->open = region->open_next;
    }
    if (region->open_next != NULL) {
        region->open_next->open_previous = region->open_previous;
    }
}

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Linux maps next to the last mapping, so the first try is aligned more often than not. */
static void *map_aligned(void)
{
    unsigned char *memory = map(REGION_SIZE);
    if (memory == NULL || ((uintptr_t)memory & (REGION_SIZE - 1)) == 0) {
        return memory;
    }
    munmap(memory, REGION_SIZE);
    memory = map(2 * (size_t)REGION_SIZE);
    if (memory == NULL) {
        return NULL;
    }
    size_t before = (0 - (uintptr_t)memory) & (REGION_SIZE - 1);
    if (before > 0) {
        munmap(memory, before);
    }
    munmap(memory + before + REGION_SIZE, REGION_SIZE - before);
    return memory + before;
}

static struct region *region_new(struct slab *slab)
{
    struct region *region = map_aligned();
    if (region == NULL) {
        return NULL;
    }
    /* Huge pages were tried: a find among 2 M keys became 10 % faster, but the store 3 to 15 bytes
     * a key larger, and a fault clears 2 MiB while the shard is held. */
    (void)madvise(region, REGION_SIZE, MADV_NOHUGEPAGE);
    __lsan_register_root_region(region, REGION_SIZE);
    ASAN_POISON_MEMORY_REGION((unsigned char *)region + SLAB_PAGE_SIZE,
                              REGION_SIZE - SLAB_PAGE_SIZE);
    region->slab = slab;
    region->free_pages = PAGES_ALL;
    region->next = slab->regions;
    if (slab->regions != NULL) {
        slab->regions->previous = region;
    }
    slab->regions = region;
    region_open(slab, region);
    slab->held += sizeof(*region);
    return region;
}

static void region_free(struct slab *slab, struct region *region)
{
    if (region->previous != NULL) {
        region->previous->next = region->next;
    } else {
        slab->regions = region->next;
    }
    if (region->next != NULL) {
        region->next->previous = region->previous;
    }
    slab->held -= sizeof(*region);
    __lsan_unregister_root_region(region, REGION_SIZE);
    ASAN_UNPOISON_MEMORY_REGION(region, REGION_SIZE);
    munmap(region, REGION_SIZE);
}

/* An empty page, linked into its new class; NULL: no memory. */
static struct page *page_new(struct slab *slab, unsigned class_index)
{
    struct page *page = slab->kept;
    if (page != NULL) {
        slab->kept = page->next;
        slab->kept_count--;
    } else {
        struct region *region = slab->open != NULL ? slab->open : region_new(slab);
        if (region == NULL) {
            return NULL;
        }
        unsigned index = (unsigned)__builtin_ctzll(region->free_pages);
        region->free_pages &= region->free_pages - 1;
        if (region->free_pages == 0) {
            region_close(slab, region);
        }
        page = &region->pages[index];
    }
    page->free = NULL;
    page->fresh = 0;
    page->live = 0;
    page->class_index = (uint16_t)class_index;
    page->room = class_room(class_index);
    page_link(slab, page);
    return page;
}

/* Keeps a page that has become empty, or gives it back to the system. */
static void page_retire(struct slab *slab, struct page *page)
{
    page_unlink(slab, page);
    if (slab->kept_count < KEPT_MAX) {
        page->next = slab->kept;
        slab->kept = page;
        slab->kept_count++;
        return;
    }
    (void)madvise(page_memory(page), SLAB_PAGE_SIZE, MADV_DONTNEED);
    slab->held -= page->touched;
    page->touched = 0;
    struct region *region = region_of(page);
    if (region->free_pages == 0) {
        region_open(slab, region);
    }
    region->free_pages |= (uint64_t)1 << (page - region->pages);
    if (region->free_pages == PAGES_ALL) {
        region_close(slab, region);
        region_free(slab, region);
    }
}

enum status slab_new(struct slab **slab_out)
{
    *slab_out = calloc(1, sizeof(**slab_out));
    return *slab_out == NULL ? ST_NOMEM : ST_OK;
}

void slab_free(struct slab *slab)
{
    if (slab == NULL) {
        return;
    }
    while (slab->regions != NULL) {
        region_free(slab, slab->regions);
    }
    free(slab);
}

static void *take_large(struct slab *slab, size_t size)
{
    /* The whole room, because a piece may grow to it in place. */
    void *memory = size > SIZE_MAX / 2 ? NULL : malloc(malloc_room(size) - 8);
    if (memory != NULL) {
        slab->used += malloc_room(size);
        slab->held += malloc_room(size);
    }
    return memory;
}

static void *page_take_fresh(struct slab *slab, struct page *page)
{
    unsigned char *memory = page_memory(page) + page->fresh;
    page->fresh += page->room;
    if (page->fresh > page->touched) {
        slab->held += page->fresh - page->touched;
        page->touched = page->fresh;
    }
    return memory;
}

void *slab_take(struct slab *slab, size_t size)
{
    CHECK(size > 0);
    if (size > SLAB_SIZE_MAX) {
        return take_large(slab, size);
    }
    unsigned class_index = class_of(size);
    struct page *page = slab->classes[class_index];
    if (page == NULL) {
        page = page_new(slab, class_index);
        if (page == NULL) {
            return NULL;
        }
    }
    void *memory = page->free;
    if (memory != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(memory, page->room);
        page->free = *(void **)memory;
    } else {
        memory = page_take_fresh(slab, page);
        ASAN_UNPOISON_MEMORY_REGION(memory, page->room);
    }
    page->live++;
    slab->used += page->room;
    if (page_full(page)) {
        page_unlink(slab, page);
    }
    return memory;
}

void slab_give(struct slab *slab, void *memory, size_t size)
{
    CHECK(size > 0);
    if (size > SLAB_SIZE_MAX) {
        slab->used -= malloc_room(size);
        slab->held -= malloc_room(size);
        free(memory);
        return;
    }
    struct page *page = page_of(memory);
    CHECK(region_of(page)->slab == slab);
    CHECK(page->live > 0 && page->class_index == class_of(size));
    bool was_full = page_full(page);
    *(void **)memory = page->free;
    page->free = memory;
    ASAN_POISON_MEMORY_REGION(memory, page->room);
    page->live--;
    slab->used -= page->room;
    if (was_full) {
        page_link(slab, page);
    }
    if (page->live == 0) {
        page_retire(slab, page);
    }
}

bool slab_same_class(size_t a, size_t b)
{
    if (a > SLAB_SIZE_MAX || b > SLAB_SIZE_MAX) {
        return a > SLAB_SIZE_MAX && b > SLAB_SIZE_MAX && malloc_room(a) == malloc_room(b);
    }
    return class_of(a) == class_of(b);
}

uint64_t slab_used(const struct slab *slab)
{
    return slab->used;
}

uint64_t slab_held(const struct slab *slab)
{
    return slab->held;
}
